"""Annotations against projections that know nothing of the package: bodies from their definitions, hulls from SciPy."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull, HalfspaceIntersection

import exitwave as ew
from exitwave.annotate import Truth, annotate
from exitwave.raster import silhouette
from exitwave.raster.bodies import BODIES
from exitwave.raster.splat import SIZES
from exitwave.specimen import Shape
from exitwave.specimen.shapes import axes_of

# ---------------------------------------------------------------------------------------------------------------------
# An independent geometry. Everything in (x, y, z), rotated by the Hamilton product.


def rotate(quaternion: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return q v q* for vectors v (..., 3) in (x, y, z)."""
    w, *vector = quaternion / np.linalg.norm(quaternion)
    vector = np.array(vector)
    twist = 2 * np.cross(vector, points)
    return points + w * twist + np.cross(vector, twist)


def fibonacci(n: int) -> np.ndarray:
    k = np.arange(n) + 0.5
    z = 1 - 2 * k / n
    phi = k * math.pi * (3 - math.sqrt(5))
    return np.stack([np.sqrt(1 - z**2) * np.cos(phi), np.sqrt(1 - z**2) * np.sin(phi), z], -1)


BALL = fibonacci(60_000)
ANGLE = np.linspace(0, 2 * math.pi, 1000, endpoint=False)
CIRCLE = np.stack([np.cos(ANGLE), np.sin(ANGLE), np.zeros_like(ANGLE)], -1)


def lysozyme_planes() -> tuple[np.ndarray, np.ndarray]:
    """Return the outward unit normals (12, 3) in (x, y, z) of {110} and {101}, a = 79.1, c = 37.9, and their forms."""
    normals, form = [], []
    for h in (-1, 1):
        for other in (-1, 1):
            normals += [(h / 79.1, other / 79.1, 0), (h / 79.1, 0, other / 37.9), (0, h / 79.1, other / 37.9)]
            form += [0, 1, 1]
    return np.array(normals) / np.linalg.norm(normals, axis=1, keepdims=True), np.array(form)


@dataclass(frozen=True)
class Body:
    """One body by its definition: its shape as the package calls it, and its sizes."""

    shape: Shape
    size: tuple[float, ...]

    def planes(self) -> np.ndarray:
        """Return the half-spaces (F, 4) of a crystal, n . r - d <= 0, distances matched to the package's columns."""
        normals, form = lysozyme_planes()
        distance = np.array(self.size)[form] if len(self.size) == 2 else self._per_face(normals)
        return np.concatenate([normals, -distance[:, None]], 1)

    def _per_face(self, normals: np.ndarray) -> np.ndarray:
        # Which face a column belongs to is the package's to say; whether the solid is right is not.
        assert isinstance(self.shape, ew.Crystal)
        order = np.array(self.shape._faces()[0])[:, ::-1]
        return np.array(self.size)[(normals @ order.T).argmax(1)]

    def cloud(self) -> np.ndarray:
        """Return points on the body that span it, in body axes."""
        match self.shape:
            case ew.Sphere():
                return BALL * self.size[0]
            case ew.Ellipsoid():
                return BALL * np.array(self.size[::-1])
            case ew.Rod():
                end = np.array([self.size[1] - self.size[0], 0, 0])
                return np.concatenate([BALL * self.size[0] + end, BALL * self.size[0] - end])
            case ew.Box():
                return np.array(np.meshgrid(*[(-s, s) for s in self.size[::-1]])).reshape(3, -1).T
            case ew.Disk():
                end = np.array([0, 0, self.size[1]])
                return np.concatenate([CIRCLE * self.size[0] + end, CIRCLE * self.size[0] - end])
            case _:
                return HalfspaceIntersection(self.planes(), np.zeros(3)).intersections

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Return whether points (..., 3) in body axes lie inside."""
        x, y, z = np.moveaxis(points, -1, 0)
        match self.shape:
            case ew.Sphere():
                return x**2 + y**2 + z**2 <= self.size[0] ** 2
            case ew.Ellipsoid():
                return (x / self.size[2]) ** 2 + (y / self.size[1]) ** 2 + (z / self.size[0]) ** 2 <= 1
            case ew.Rod():
                half = self.size[1] - self.size[0]
                return (x - np.clip(x, -half, half)) ** 2 + y**2 + z**2 <= self.size[0] ** 2
            case ew.Box():
                return (abs(x) <= self.size[2]) & (abs(y) <= self.size[1]) & (abs(z) <= self.size[0])
            case ew.Disk():
                return (x**2 + y**2 <= self.size[0] ** 2) & (abs(z) <= self.size[1])
            case _:
                planes = self.planes()
                return np.asarray((points @ planes[:, :3].T + planes[:, 3] <= 0).all(-1))


def random_body(kind: str, rng: np.random.Generator, scale: float) -> Body:
    """Return a body of a few `scale` micrometres with random proportions."""
    u = rng.uniform(0.4, 1.0, 12) * scale
    match kind:
        case "sphere":
            return Body(ew.Sphere(), (u[0],))
        case "ellipsoid":
            return Body(ew.Ellipsoid(), (u[0], u[1], u[2]))
        case "rod":
            return Body(ew.Rod(), (0.4 * u[0], 0.4 * u[0] + u[1]))
        case "box":
            return Body(ew.Box(), (0.7 * u[0], 0.7 * u[1], 0.7 * u[2]))
        case "disk":
            return Body(ew.Disk(), (u[0], 0.5 * u[1]))
        case "crystal":
            return Body(ew.Crystal(), (0.7 * u[0], 0.7 * u[1]))
        case _:
            return Body(ew.Crystal(per_face=True), tuple(0.7 * u))


KINDS = ("sphere", "ellipsoid", "rod", "box", "disk", "crystal", "disordered crystal")


def particles(bodies: list[Body], center: np.ndarray, rotation: np.ndarray, label: str = "thing") -> ew.Particles:
    """Return bodies of one shape as the package's particles, in double precision."""
    pose = [torch.tensor(np.asarray(values), dtype=torch.float64) for values in (center, [b.size for b in bodies])]
    index = torch.full((len(bodies),), 1.5, dtype=torch.float64)
    return ew.Particles(bodies[0].shape, pose[0], pose[1], index, torch.tensor(rotation), label=label)


def scene(*parts: object, shape: tuple[int, ...] = (96, 128), pixel: float | tuple[float, ...] = 0.1) -> ew.Scene:
    return ew.Scene(ew.Specimen(parts, medium=1.33), ew.brightfield(), ew.Grid(shape, pixel))


def to_pixels(points: np.ndarray, truth: Truth) -> np.ndarray:
    """Return (row, col) of points (..., 3) in (x, y, z)."""
    (height, width), (dy, dx) = truth.shape, truth.pixel
    return np.stack([points[..., 1] / dy + height // 2, points[..., 0] / dx + width // 2], -1)


def smallest_rectangles(hull: np.ndarray) -> np.ndarray:
    """Return the corners (K, 4, 2) of all rectangles whose area is the smallest of 9000 directions, to 1e-4 of it."""
    angle = np.linspace(0, math.pi / 2, 9000, endpoint=False)
    u = np.stack([np.cos(angle), np.sin(angle)], -1)
    v = np.stack([-u[:, 1], u[:, 0]], -1)
    along, across = hull @ u.T, hull @ v.T
    low, high, left, right = along.min(0), along.max(0), across.min(0), across.max(0)
    area = (high - low) * (right - left)
    corners = [u * a[:, None] + v * b[:, None] for a, b in ((low, left), (high, left), (high, right), (low, right))]
    return np.stack(corners, 1)[area <= area.min() * (1 + 1e-4)]


def corner_error(corners: np.ndarray, references: np.ndarray) -> float:
    """Return the largest distance in pixels between the corners and those of the nearest rectangle among several."""
    orders = [np.roll(order, shift) for order in (np.arange(4), np.arange(4)[::-1]) for shift in range(4)]
    errors = [np.linalg.norm(corners[order] - references, axis=-1).max(-1) for order in orders]
    return float(np.min(errors))


# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixel", [0.1, (0.08, 0.13)], ids=["square", "anisotropic"])
@pytest.mark.parametrize("kind", KINDS)
def test_boxes_and_masks_of_single_particles_in_random_poses(kind: str, pixel: float | tuple[float, float]) -> None:
    rng = np.random.default_rng(7)
    for _ in range(12):
        body = random_body(kind, rng, scale=3.0)
        rotation = rng.standard_normal((1, 4))
        center = np.array([rng.normal(), *rng.uniform(-0.5, 0.5, 2)])  # z, y, x
        truth = annotate(scene(particles([body], center[None], rotation), shape=(96, 96), pixel=pixel))
        projected = to_pixels(rotate(rotation[0], body.cloud()) + center[::-1], truth)
        found = ConvexHull(projected)
        hull = projected[found.vertices]

        pixels = np.moveaxis(np.indices((96, 96)), 0, -1)
        expected = (pixels @ found.equations[:, :2].T + found.equations[:, 2] <= 0).all(-1)
        mask = truth.amodal_mask(0)
        assert expected.sum() > 400
        assert (mask & expected).sum() / (mask | expected).sum() >= 0.99
        assert np.array_equal(truth.ids > 0, mask)
        assert truth.amodal_area[0] == truth.area[0] == mask.sum()

        references = smallest_rectangles(hull)
        assert corner_error(truth.oriented_boxes[0], references) <= 0.5
        assert _area(truth.oriented_boxes[0]) == pytest.approx(_area(references[0]), rel=2e-3)
        np.testing.assert_allclose(truth.boxes[0], [*hull.min(0), *hull.max(0)], atol=0.02)
        # 64 corners on a round outline leave out 0.2 % of its area.
        assert _area(truth.contours[0]) == pytest.approx(found.volume, rel=3e-3)
        assert (truth.contours[0] @ found.equations[:, :2].T + found.equations[:, 2]).max() < 0.02


def _area(polygon: np.ndarray) -> float:
    row, column = polygon.T
    return abs(float(row @ np.roll(column, -1) - column @ np.roll(row, -1))) / 2


@pytest.mark.parametrize(
    ("shape", "size", "rotation"),
    [
        (ew.Rod(), (0.5, 2.0), (1, 0, 1, 0)),  # upright: body x along z
        (ew.Disk(), (2.0, 0.5), (1, 0, 0, 0)),  # lying flat
        (ew.Disk(), (2.0, 0.5), (1, 1, 0, 0)),  # on its rim
        (ew.Box(), (1.0, 1.5, 2.0), (1, 0, 0, 0)),
        (ew.Box(), (1.0, 1.5, 2.0), (1, 1, 0, 0)),
        (ew.Crystal(), (1.5, 1.8), (1, 0, 0, 0)),
        (ew.Crystal(), (1.5, 1.8), (1, 1, 0, 0)),
        (ew.Ellipsoid(), (1.0, 1.5, 1.5), (1, 0, 0, 0)),
    ],
)
def test_boxes_in_poses_where_axes_stand_upright(shape: Shape, size: tuple[float, ...], rotation: tuple) -> None:
    body = Body(shape, size)
    truth = annotate(scene(particles([body], np.array([[0.0, 0.03, -0.02]]), np.array([rotation], dtype=float))))
    lab = rotate(np.array(rotation, dtype=float), body.cloud()) + np.array([-0.02, 0.03, 0.0])
    projected = to_pixels(lab, truth)
    hull = projected[ConvexHull(projected).vertices]
    assert corner_error(truth.oriented_boxes[0], smallest_rectangles(hull)) <= 0.05
    np.testing.assert_allclose(truth.boxes[0], [*hull.min(0), *hull.max(0)], atol=0.01)


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        (ew.Crystal(), 3000),
        (ew.Crystal(per_face=True), 3000),
        (ew.Crystal(cell=(1.0, 1.0, 1.0), forms=((3, 2, 1),), laue="m-3m"), 50),  # 48 faces
    ],
    ids=["lysozyme", "disordered", "hexoctahedron"],
)
def test_crystals_end_where_no_line_of_sight_enters_them(shape: ew.Crystal, count: int) -> None:
    # The silhouette's edges and the chords through the faces are computed apart; rare poses once lost an edge.
    generator = torch.Generator().manual_seed(4)
    size = 0.4 + 0.5 * torch.rand(count, len(shape.lengths), generator=generator, dtype=torch.float64)
    axes = axes_of(torch.randn(count, 4, generator=generator, dtype=torch.float64))
    rows, _ = shape.prepare(size, axes, 0.0)
    lattice = torch.linspace(-1.5, 1.5, 31, dtype=torch.float64)
    y, x = lattice[None, :, None] + 0.003, lattice[None, None, :] + 0.002
    entry, leave = shape.chord(rows, y, x)
    assert torch.equal(shape.edge(rows, y, x)[0] >= 0, leave >= entry)


def test_depth_order_is_that_of_rays_cast_from_the_objective() -> None:
    rng = np.random.default_rng(3)
    parts, bodies = [], []
    for kind in KINDS:
        shapes = [random_body(kind, rng, scale=1.2) for _ in range(3)]
        center = rng.uniform(-1, 1, (3, 3)) * [1.0, 1.6, 1.6]
        rotation = rng.standard_normal((3, 4))
        parts.append(particles(shapes, center, rotation))
        bodies += zip(shapes, center, rotation, strict=True)
    truth = annotate(scene(*parts, shape=(40, 40), pixel=0.1))

    spacing = 0.01
    z = np.arange(3.0, -3.0, -spacing)
    y, x = np.meshgrid((np.arange(40) - 20) * 0.1, (np.arange(40) - 20) * 0.1, indexing="ij")
    height = np.full((len(bodies), 40, 40), -99.0)
    for number, (body, center, rotation) in enumerate(bodies):
        ray = np.stack(np.broadcast_arrays(x[..., None], y[..., None], z), -1) - center[::-1]
        inside = body.holds(rotate(rotation * [1, -1, -1, -1], ray))
        height[number] = np.where(inside.any(-1), z[inside.argmax(-1)], -99.0)
    nearest, second = np.sort(height, 0)[::-1][:2]
    clear = nearest - second > 2 * spacing  # elsewhere the rays' steps cannot tell
    assert clear.mean() > 0.7
    agree = np.where((nearest > -99), height.argmax(0) + 1, 0) == truth.ids
    # A ray that grazes a body may step over it.
    assert agree[clear | ~(nearest > -99)].mean() > 0.99
    both = agree & (truth.ids > 0)
    assert np.abs(truth.depth - nearest)[both].max() < 1.01 * spacing
    assert np.isnan(truth.depth[truth.ids == 0]).all()


def test_crossed_tilted_rods_hide_one_another_at_both_ends() -> None:
    # Two rods that cross like a saltire, tilted oppositely: each is in front where it is raised.
    tilt = math.radians(60)
    raised = np.array([[math.cos(tilt / 2), 0, -math.sin(tilt / 2), 0], [math.cos(tilt / 2), 0, math.sin(tilt / 2), 0]])
    rods = particles([Body(ew.Rod(), (0.5, 3.0))] * 2, np.zeros((2, 3)), raised)
    truth = annotate(scene(rods))
    along = np.flatnonzero(truth.ids[48] > 0)
    ends = truth.ids[48, along[0]], truth.ids[48, along[-1]]
    assert set(ends) == {1, 2}
    # Quaternion (cos, 0, -sin, 0) turns body x towards +z: the first rod is raised at large x.
    assert ends == (2, 1)


def test_the_sphere_whose_exit_surface_is_higher_is_seen() -> None:
    # A large sphere lower down still ends above a small one: the height of the surface decides, not of the centre.
    small = ew.Particles(ew.Sphere(), [[0.5, 0, 0]], [[0.5]], [1.5], label="small")
    large = ew.Particles(ew.Sphere(), [[0.0, 0, 0]], [[2.0]], [1.5], label="large")
    truth = annotate(scene(small, large))
    assert truth.ids[48, 64] == 2
    assert truth.depth[48, 64] == pytest.approx(2.0)
    assert truth.area[0] == 0
    assert truth.visible_fraction.tolist() == [0.0, 1.0]
    assert truth.visible_boxes[0].tolist() == [0, 0, 0, 0]


def test_visible_fraction_is_the_lens_two_spheres_leave() -> None:
    # Equal spheres of radius R at lateral distance d: the lower one loses a lens of two segments.
    radius, distance = 3.0, 2.5
    pair = ew.Particles(ew.Sphere(), [[0, 0, -distance / 2], [9, 0, distance / 2]], [[radius]] * 2, [1.5, 1.5])
    truth = annotate(scene(pair, shape=(400, 600), pixel=0.02))
    half = math.acos(distance / 2 / radius)
    lens = 2 * radius**2 * (half - math.sin(half) * math.cos(half))
    assert truth.visible_fraction[0] == pytest.approx(1 - lens / (math.pi * radius**2), abs=2e-3)
    assert truth.visible_fraction[1] == 1.0
    assert truth.amodal_area[0] == truth.amodal_mask(0).sum()
    assert truth.visible_mask(0).sum() == truth.area[0]
    assert not (truth.visible_mask(0) & truth.visible_mask(1)).any()
    assert (truth.amodal_mask(0) & truth.amodal_mask(1)).sum() == truth.amodal_area[0] - truth.area[0]


def test_particles_across_the_border_are_truncated_and_counted_whole() -> None:
    # Rows start at -4.8 um, columns at -6.4 um: inside; across the upper border; outside; outside, but for its box.
    centers = [[0, 0, 0], [0, -4.8, 0], [0, -20, 0], [0, -5.65, -7.25]]
    beads = ew.Particles(ew.Sphere(), centers, [[1.0]] * 4, [1.5] * 4)
    truth = annotate(scene(beads))
    assert truth.truncated.tolist() == [False, True, False, False]
    assert truth.area[2] == truth.area[3] == 0
    # Closed disks of radius 10 about lattice points hold 317 of them (the Gauss circle problem); 11 of 21 rows show.
    assert truth.amodal_area[:3].tolist() == [317, 317, 317]
    assert truth.area[1] == (317 - 21) // 2 + 21
    np.testing.assert_allclose(truth.boxes[1], [-10, 54, 10, 74], atol=1e-6)
    np.testing.assert_allclose(truth.visible_boxes[1], [-0.5, 53.5, 10.5, 74.5])
    assert truth.contours[2][:, 0].max() < -100


def test_nothing_to_annotate_gives_empty_arrays() -> None:
    none = ew.Particles(ew.Crystal(), torch.zeros(0, 3), torch.zeros(0, 2), torch.zeros(0), label="crystal")
    for parts, classes in (((), ()), ((none,), ("crystal",)), ((ew.Film(opd=0.01),), ())):
        truth = annotate(scene(*parts))
        assert len(truth) == 0
        assert truth.classes == classes
        assert not truth.ids.any()
        assert np.isnan(truth.depth).all()
        assert truth.boxes.shape == (0, 4)
        assert truth.oriented_boxes.shape == (0, 4, 2)
        assert truth.visible_boxes.shape == (0, 4)
        assert truth.visible_fraction.shape == truth.truncated.shape == truth.area.shape == (0,)
        assert truth.contours == []


def test_parts_without_a_label_are_background() -> None:
    bead = ew.Particles(ew.Sphere(), [[0, 0, 0]], [[1.0]], [1.5], label="bead")
    dirt = ew.Particles(ew.Sphere(), [[5, 0, 0]], [[2.0]], [1.5], label="")
    alone, together = annotate(scene(bead)), annotate(scene(dirt, bead, ew.Film(opd=0.01)))
    assert together.classes == ("bead",)
    assert np.array_equal(alone.ids, together.ids)
    assert together.visible_fraction.tolist() == [1.0]


def test_classes_are_sorted_labels_and_instances_keep_the_order_of_the_parts() -> None:
    rods = ew.Particles(ew.Rod(), [[0, 2, 0], [0, -2, 0]], [[0.3, 1.0], [0.3, 1.2]], [1.4, 1.45], label="rod")
    beads = ew.Particles(ew.Sphere(), [[1, 0, 3]], [[0.5]], [1.59], absorption=[0.1], label="bead")
    more = ew.Particles(ew.Rod(), [[0, 0, -3]], [[0.4, 0.9]], [1.4], label="rod")
    truth = annotate(scene(rods, beads, more))
    assert truth.classes == ("bead", "rod")
    assert truth.class_id.tolist() == [1, 1, 0, 1]
    assert truth.class_id.dtype == truth.area.dtype == truth.amodal_area.dtype == np.int64
    assert truth.ids.dtype == np.int32
    assert truth.depth.dtype == np.float32
    assert [truth.ids[68, 64], truth.ids[28, 64], truth.ids[48, 94], truth.ids[48, 34]] == [1, 2, 3, 4]


def test_physical_parameters_become_columns_and_missing_sizes_nan() -> None:
    rods = ew.Particles(ew.Rod(), [[0, 2, 0]], [[0.3, 1.0]], [1.4], rotation=[[0.5, 0.5, 0.5, 0.5]], label="rod")
    beads = ew.Particles(ew.Sphere(), [[1, 0, 3]], [[0.5]], [1.59], absorption=[0.1], dispersion=[0.003], label="bead")
    columns = annotate(scene(rods, beads)).physical
    assert columns["shape"].tolist() == ["Rod", "Sphere"]
    np.testing.assert_allclose(columns["size_radius"], [0.3, 0.5])
    np.testing.assert_allclose(columns["size_half_length"], [1.0, np.nan])
    np.testing.assert_allclose(columns["index"], [1.4, 1.59])
    np.testing.assert_allclose(columns["absorption"], [0, 0.1])
    np.testing.assert_allclose(columns["dispersion"], [0, 0.003])
    np.testing.assert_allclose([columns[f"center_{axis}"] for axis in "zyx"], [[0, 1], [2, 0], [0, 3]])
    np.testing.assert_allclose([columns[f"rotation_{part}"][0] for part in "wxyz"], [0.5] * 4)
    assert all(column.shape == (2,) for column in columns.values())


def test_particles_between_pixel_centres_have_boxes_but_no_pixels() -> None:
    dust = ew.Particles(ew.Sphere(), [[0, 0.05, 0.05]], [[0.02]], [1.5])
    truth = annotate(scene(dust))
    assert truth.amodal_area.tolist() == truth.visible_fraction.tolist() == [0]
    np.testing.assert_allclose(truth.boxes[0], [48.3, 64.3, 48.7, 64.7], atol=1e-6)


def test_silhouettes_far_beyond_the_image_are_counted_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    # 2500 pixels across; with patches of at most 256 the rest is counted on every 10th row and column.
    bead = ew.Particles(ew.Sphere(), [[0, 0, 0]], [[125.0]], [1.5])
    exact = annotate(scene(bead))
    monkeypatch.setattr(silhouette, "_SIDES", SIZES)
    counted = annotate(scene(bead))
    assert exact.area[0] == counted.area[0] == 96 * 128
    assert exact.amodal_area[0] == pytest.approx(math.pi * 1250**2, rel=1e-4)
    assert counted.amodal_area[0] == pytest.approx(exact.amodal_area[0], rel=1e-3)
    assert np.array_equal(exact.depth, counted.depth)
    assert exact.truncated[0]


def test_blocks_of_bodies_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    parts = [
        particles([random_body(kind, rng, 0.5) for _ in range(9)], rng.normal(size=(9, 3)), rng.normal(size=(9, 4)))
        for kind in KINDS
    ]
    whole = annotate(scene(*parts))
    monkeypatch.setattr(silhouette, "_BLOCK", 2)
    monkeypatch.setattr(silhouette, "CHUNK", 300)
    pieces = annotate(scene(*parts))
    for name in ("ids", "depth", "boxes", "area", "amodal_area", "truncated", "class_id"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name), equal_nan=True), name
    np.testing.assert_allclose(whole.oriented_boxes, pieces.oriented_boxes, atol=1e-9)
    assert all(np.allclose(a, b) for a, b in zip(whole.contours, pieces.contours, strict=True))
    assert np.array_equal(whole.amodal_mask(20), pieces.amodal_mask(20))


@pytest.mark.parametrize("compiled", [(), (ew.Sphere, ew.Rod)], ids=["none", "some"])
def test_which_shapes_have_kernels_does_not_show(compiled: tuple[type, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    parts = [
        particles([random_body(kind, rng, 0.9) for _ in range(9)], rng.normal(size=(9, 3)), rng.normal(size=(9, 4)))
        for kind in KINDS
    ]
    expected = annotate(scene(*parts))
    monkeypatch.setattr(silhouette, "BODIES", {shape: number for shape, number in BODIES.items() if shape in compiled})
    found = annotate(scene(*parts))
    for name in ("ids", "area", "amodal_area", "truncated"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    np.testing.assert_allclose(found.depth, expected.depth, rtol=1e-6, atol=1e-6)


def test_annotations_of_free_parameters_keep_no_gradients_and_pickle() -> None:
    center = torch.zeros(1, 3, requires_grad=True)
    truth = annotate(scene(ew.Particles(ew.Sphere(), center, [[1.0]], [1.5])))
    again = pickle.loads(pickle.dumps(truth))
    assert np.array_equal(again.contours[0], truth.contours[0])
    assert again.amodal_mask(0).sum() == 317


def test_forty_thousand_particles_at_2048() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for shape, degrees in ((ew.Sphere(), 1), (ew.Ellipsoid(), 3), (ew.Rod(), 2), (ew.Box(), 3), (ew.Disk(), 2)):
        center = rng.uniform(-1, 1, (8000, 3)) * [10, 102.4, 102.4]
        size = np.sort(rng.uniform(0.2, 0.5, (8000, degrees)), 1)
        pose = [torch.tensor(values, dtype=torch.float32) for values in (center, size, rng.normal(size=(8000, 4)))]
        parts.append(ew.Particles(shape, pose[0], pose[1], torch.full((8000,), 1.5), pose[2]))
    truth = annotate(scene(*parts, shape=(2048, 2048), pixel=0.1))
    assert len(truth) == 40_000
    assert truth.area.sum() == (truth.ids > 0).sum()
    assert (truth.area <= truth.amodal_area).all()
    assert truth.visible_boxes.shape == (40_000, 4)


def test_errors_say_what_was_expected() -> None:
    bead = ew.Particles(ew.Sphere(), [[0, 0, 0]], [[1.0]], [1.5])
    with pytest.raises(ValueError, match=r"need a grid \(height, width\), got one with a depth; drop the depth"):
        annotate(scene(bead, shape=(8, 8, 8)))
    with pytest.raises(TypeError, match=r"got a prior at specimen.medium; draw it with sample"):
        annotate(ew.Scene(ew.Specimen((bead,), medium=ew.Uniform(1.3, 1.4)), ew.brightfield(), ew.Grid((8, 8), 0.1)))
    with pytest.raises(TypeError, match=r"expected particles, wires, meshes or films to annotate, got Grid"):
        annotate(scene(ew.Grid((8, 8), 0.1)))
    with pytest.raises(IndexError, match=r"expected an instance from 0 to 0, got 1"):
        annotate(scene(bead)).visible_mask(1)
