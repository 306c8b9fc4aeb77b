"""Files of meshes: what is written is read, in every format, and damaged files are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from exitwave.specimen.mesh import Mesh
from exitwave.specimen.meshes import blob, foam, icosphere, load_mesh, report, save_mesh, volumes

MESHES = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes"
real = pytest.mark.skipif(not MESHES.exists(), reason="the example meshes are not part of the repository")


@pytest.fixture(scope="module")
def cells() -> Mesh:
    return foam([[0, 0, -1.0], [0, 0, 1.0], [1.0, 1.0, 0.0]], hull=(3.0, 3.0, 4.0), edge=1.2)


@pytest.mark.parametrize("suffix", ["obj", "ply", "vtk", "rec"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_regions_and_vertices_survive(tmp_path: Path, cells: Mesh, suffix: str, dtype: torch.dtype) -> None:
    mesh = cells.to(dtype)
    save_mesh(tmp_path / f"cells.{suffix}", mesh)
    found = load_mesh(tmp_path / f"cells.{suffix}")
    assert torch.equal(found.vertices, mesh.vertices.float())
    assert torch.equal(found.faces, mesh.faces)
    assert torch.equal(found.regions, mesh.regions)


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "vtk", "rec"])
def test_one_surface_survives_with_its_unit(tmp_path: Path, suffix: str) -> None:
    body = blob(2.0, 0.2, torch.Generator().manual_seed(1), center=(3.0, 0.0, -1.0), subdivisions=2)
    save_mesh(tmp_path / f"body.{suffix}", body, scale=1e-3)
    found = load_mesh(tmp_path / f"body.{suffix}", scale=1e-3)
    assert len(found.vertices) == len(body.vertices), "corners at one place are one vertex"
    torch.testing.assert_close(volumes(found), volumes(body), rtol=1e-5, atol=0)
    torch.testing.assert_close(found.vertices.mean(0), body.vertices.mean(0), rtol=1e-4, atol=1e-4)
    assert bool(found.closed().all())


def test_files_are_in_the_order_x_y_z(tmp_path: Path) -> None:
    (tmp_path / "one.obj").write_text(
        "# a triangle\nv 1 2 3 0.5 0.5 0.5\nv 4 2 3\n\nv 1 5 3\nvn 0 0 1\nf 1//1 2//1 -1/1\n"
    )
    mesh = load_mesh(tmp_path / "one.obj", scale=2.0)
    assert mesh.vertices.tolist() == [[6, 4, 2], [6, 4, 8], [6, 10, 2]]
    assert mesh.area_vectors().tolist() == [[18, 0, 0]], "seen from +z the face turns anticlockwise in x and y"


def test_polygons_become_triangles(tmp_path: Path) -> None:
    corners = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n2 0.5 0\n"
    header = "ply\nformat ascii 1.0\nelement vertex 5\nproperty float x\nproperty float y\nproperty float z\n"
    header += (
        "element face 2\nproperty list uchar int vertex_index\nproperty int behind\nproperty int front\nend_header\n"
    )
    (tmp_path / "a.ply").write_text(header + corners + "4 0 1 2 3 2 0\n3 1 4 2 1 0\n")
    (tmp_path / "a.vtk").write_text(
        "# vtk DataFile Version 3.0\n\nASCII\nDATASET POLYDATA\nPOINTS 5 float\n" + corners + "LINES 1 3\n2 0 1\n"
        "POLYGONS 2 9\n4 0 1 2 3\n3 1 4 2\nCELL_DATA 3\nFIELD FieldData 2\nage 1 3 float\n5 6 7\n"
        "regions 2 3 int\n9 9 2 0 1 0\n"
    )
    (tmp_path / "b.vtk").write_text(
        "# vtk DataFile Version 5.1\nnew\nASCII\nDATASET POLYDATA\nPOINTS 5 double\n" + corners + "POLYGONS 3 7\n"
        "OFFSETS vtktypeint64\n0 4 7\nCONNECTIVITY vtktypeint64\n0 1 2 3\n1 4 2\nPOINT_DATA 5\n"
    )
    (tmp_path / "a.obj").write_text("\n".join("v " + row for row in corners.splitlines()) + "\nf 1 2 3 4\nf 2 5 3\n")
    for name, known in (("a.ply", True), ("a.vtk", True), ("b.vtk", False), ("a.obj", False)):
        mesh = load_mesh(tmp_path / name)
        assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]
        assert mesh.regions.tolist() == ([[2, 0], [2, 0], [1, 0]] if known else [[1, 0]] * 3)


def test_binary_polygons_of_any_size_and_order(tmp_path: Path) -> None:
    header = b"ply\nformat binary_big_endian 1.0\nelement vertex 5\nproperty double x\nproperty double y\n"
    header += (
        b"property double z\nproperty uchar red\nelement face 2\nproperty list uchar uint vertex_indices\nend_header\n"
    )
    rows = np.zeros(5, [("at", ">f8", 3), ("red", "u1")])
    rows["at"] = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0.5, 0]]
    faces = b"".join(bytes([len(f)]) + np.array(f, ">u4").tobytes() for f in ([0, 1, 2, 3], [1, 4, 2]))
    (tmp_path / "a.ply").write_bytes(header + rows.tobytes() + faces)
    assert load_mesh(tmp_path / "a.ply").faces.tolist() == [[0, 1, 2], [0, 2, 3], [1, 4, 2]]


def test_text_of_stl_is_read(tmp_path: Path) -> None:
    lines = ["solid corner"]
    for points in (((0, 0, 0), (1, 0, 0), (0, 1, 0)), ((0, 0, 0), (0, 1, 0), (0, 0, 1))):
        lines += [
            "facet normal 0 0 0",
            "outer loop",
            *(f"vertex {x} {y} {z}" for x, y, z in points),
            "endloop",
            "endfacet",
        ]
    (tmp_path / "a.stl").write_text("\n".join([*lines, "endsolid"]))
    mesh = load_mesh(tmp_path / "a.stl")
    assert (len(mesh.vertices), len(mesh.faces)) == (4, 2)


def test_disordered_regions_are_put_in_order(tmp_path: Path, cells: Mesh) -> None:
    """A .rec file names the regions of a face in any order, and its faces turn any way."""
    generator = torch.Generator().manual_seed(2)
    save_mesh(tmp_path / "a.rec", cells)
    rows = (tmp_path / "a.rec").read_text().splitlines()
    first = len(rows) - len(cells.faces)
    for number in range(first, len(rows)):
        a, b, c, behind, front = rows[number].split()
        swap, turn = torch.rand(2, generator=generator) < 0.5
        a, b = (b, a) if turn else (a, b)
        rows[number] = " ".join((a, b, c, front, behind) if swap else (a, b, c, behind, front))
    (tmp_path / "b.rec").write_text("\n".join(rows))
    found = load_mesh(tmp_path / "b.rec")
    assert found.closed().tolist() == [True] * 3
    torch.testing.assert_close(volumes(found), volumes(cells))


@real
def test_four_real_cells_come_out_closed_with_positive_volumes() -> None:
    cell = load_mesh(MESHES / "cell4.rec", scale=0.1)
    assert cell.closed().tolist() == [True] * 4
    assert (volumes(cell) > 100).all()
    # The outside sees all of them: their union is as large as the sum, whichever walls lie inside.
    outer = cell.regions[:, 1] == 0
    middle = cell.corners()[outer].mean(1) - cell.vertices.mean(0)
    total = (middle * cell.area_vectors()[outer]).sum() / 3
    torch.testing.assert_close(total, volumes(cell).sum(), rtol=1e-5, atol=0)


@real
def test_spot_is_a_sound_surface() -> None:
    spot = load_mesh(MESHES / "spot.obj")
    found = report(spot)
    assert (found.vertices, found.faces, found.euler, found.faults) == (2930, 5856, 2, ())


def test_stl_cannot_hold_cells(tmp_path: Path, cells: Mesh) -> None:
    with pytest.raises(ValueError, match=r"STL holds one surface around one region, got 3 regions; save .ply"):
        save_mesh(tmp_path / "a.stl", cells)


PLY = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.off", "", "must be a .obj, .ply, .stl, .vtk, .rec file, got 'a.off'"),
        ("a.obj", "", "must hold vertices and faces, got 0 and 0"),
        ("a.obj", "v 1 2 x\n", "must hold numbers, got 'v 1 2 x' in line 1"),
        ("a.obj", "v 1 2\n", "three numbers or more, got 'v 1 2' in line 1"),
        ("a.obj", "v 1 2 3\nf 1 2\n", "three numbers or more, got 'f 1 2' in line 2"),
        ("a.obj", "v 1 2 3\nf 1 1 7\n", "must name vertices from 0 to 0, got 6"),
        ("a.obj", "v 1 2 nan\nf 1 1 1\n", "must hold finite vertices, got"),
        ("a.ply", "solid", "must start with 'ply' and a header"),
        ("a.ply", PLY + "end_header\n1 2 3\n", "faces with vertex_indices, got vertex with x, y, z"),
        ("a.ply", PLY + "end_header\n1 2\n", "must hold 1 rows of 'vertex'"),
        ("a.ply", "ply\nformat ascii 1.0\nelement vertex one\nend_header\n", "got the line 'element vertex one'"),
        ("a.ply", "ply\nformat utf 1.0\nend_header\n", "must be of format ascii or binary, got 'utf'"),
        ("a.stl", "something else", "must be 84 bytes and 50 for each"),
        ("a.stl", "solid x\nvertex 1 2\nendsolid", "three numbers to every vertex"),
        ("a.stl", "solid x\nvertex 1 2 3\nendsolid", "must hold triangles, got 1 corners"),
        ("a.vtk", "# vtk DataFile Version 3.0\nx\nASCII\nDATASET X\n", "must be a legacy VTK file of POLYDATA"),
        ("a.vtk", "# vtk\nx\nASCII\nDATASET POLYDATA\nPOINTS 2 float\n1 2 3\n", "must hold POINTS 2 float"),
        ("a.rec", "2\n1 2 3\n", "must hold a count, vertices x y z"),
        ("a.rec", "1\n1 2 3\n1\n0 0 0 1\n", "must hold 1 vertices and 1 faces as it says"),
        ("a.rec", "1\n1 2 3\n1\n0 0 0 1 1\n", "different regions on both sides"),
        ("a.rec", "1\n1 2 3\n1\n0 0 0 1 -1\n", "must number regions from 0"),
    ],
)  # fmt: skip
def test_damaged_files_are_named_in_one_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as found:
        load_mesh(tmp_path / name)
    assert "\n" not in str(found.value)


def test_bytes_that_are_no_text_and_scales_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_bytes(b"\xff\xfe\x00v 1 2 3")
    with pytest.raises(ValueError, match="must be a text file"):
        load_mesh(tmp_path / "a.obj")
    with pytest.raises(ValueError, match="scale must be positive"):
        load_mesh(tmp_path / "a.obj", scale=0.0)
    save_mesh(tmp_path / "b.ply", icosphere(1.0))
    (tmp_path / "b.ply").write_bytes((tmp_path / "b.ply").read_bytes()[:-40])
    with pytest.raises(ValueError, match="must hold 1280 rows of 'face'"):
        load_mesh(tmp_path / "b.ply")
