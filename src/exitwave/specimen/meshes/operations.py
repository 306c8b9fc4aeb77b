"""Local changes of surfaces, many at a time: edges that are split, collapsed and flipped.

A change is made where no other one touches the same faces, in the order of how much it is wanted, and in rounds until
none is left. Splitting and flipping keep the boundary of every region closed, for they replace faces by others with the
same outline; collapsing does because it maps the whole surface at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exitwave.specimen.meshes.surface import Floats, Integers, Mask, Surface, normals, shapes
from exitwave.specimen.meshes.topology import Edges, codes, edges, fans, junctions, spans

_ROUNDS = 200
# What is left of the short edges when fewer than this share of faces is done in a round, the next iteration does.
_FEW = 0.003
# A face that a collapse or a flip leaves must not turn by more than this cosine, nor a flip join faces that fold more.
_TURN, _FOLD = 0.3, 0.7
# Of an equilateral triangle 1; a change must not leave a face below this unless it was worse.
_THIN = 0.1
# Corners closer than this share of the shortest edge are one, whatever meets there.
_SPECK = 0.3


def lengths(points: Floats, net: Edges) -> Floats:
    """Return the length (E,) of every edge in micrometres."""
    return np.linalg.norm(points[net.ends[:, 0]] - points[net.ends[:, 1]], axis=-1)


def split(body: Surface, longest: float) -> Surface:
    """Return a surface with edges above `longest` cut at their middles, the longest of a face first."""
    for _ in range(_ROUNDS):
        net = edges(body.faces)
        length = lengths(body.points, net)
        body, count = cut(body, net, np.where(length > longest, length, 0.0))
        if not count:
            break
    return body


def cut(body: Surface, net: Edges, want: Floats) -> tuple[Surface, int]:
    """Return a surface with edges cut at their middles, the most wanted of every face, and how many were cut.

    An edge is cut where all its faces want it most; one of which 0 is wanted never is.
    """
    rank = np.empty(len(want), dtype=np.int64)
    rank[np.argsort(want, kind="stable")] = np.arange(len(want))
    side = rank[net.of].argmax(1)
    top = net.of[np.arange(len(net.of)), side]
    chosen = (want > 0) & (np.bincount(top, minlength=len(want)) == net.count)
    place = len(body.points) + np.cumsum(chosen) - 1
    rows = np.flatnonzero(chosen[top])
    a, b, c = (body.faces[rows, (side[rows] + k) % 3] for k in range(3))
    m = place[top[rows]]
    faces = body.faces.copy()
    faces[rows] = np.stack([a, m, c], -1)
    new = Surface(
        np.concatenate([body.points, body.points[net.ends[chosen]].mean(1)]),
        np.concatenate([faces, np.stack([m, b, c], -1)]),
        np.concatenate([body.regions, body.regions[rows]]),
        np.concatenate([body.density, body.density[rows]]),
    )
    return new, int(chosen.sum())


def ranks(points: int, net: Edges, edge: Mask, faces: Integers, regions: Integers) -> Integers:
    """Return what every vertex (V,) is: 0 within a wall, 1 on a curve where walls meet or end, 2 where curves meet."""
    degree = np.bincount(net.ends[edge].ravel(), minlength=points)
    rank = np.where(degree == 0, 0, np.where(degree == 2, 1, 2))
    # Walls of several kinds may touch in a vertex alone, and a curve may change its walls there.
    wall, corner = np.repeat(codes(regions), 3), faces.ravel()
    low, high = np.full(points, np.iinfo(np.int64).max), np.full(points, -1)
    np.minimum.at(low, corner, wall)
    np.maximum.at(high, corner, wall)
    rank[(degree == 0) & (low < high)] = 2
    kind = curves(net, edge, regions)
    ends = net.ends[edge]
    low, high = np.full(points, np.iinfo(np.uint64).max), np.zeros(points, dtype=np.uint64)
    for k in (0, 1):
        np.minimum.at(low, ends[:, k], kind)
        np.maximum.at(high, ends[:, k], kind)
    rank[(degree == 2) & (low < high)] = 2
    return rank


def curves(net: Edges, edge: Mask, regions: Integers) -> NDArray[np.uint64]:
    """Return a number (n,) for the walls that meet at every edge of a curve, the same wherever these are the same."""
    total = np.zeros(len(net.ends), dtype=np.uint64)
    np.add.at(total, net.of.ravel(), np.repeat(_scrambled(codes(regions)), 3))
    return total[edge]


def meetings(points: int, faces: Integers, regions: Integers) -> NDArray[np.uint64]:
    """Return a number (V,) for the walls that meet at every vertex, the same wherever these are the same."""
    stride = int(codes(regions).max(initial=0)) + 1
    pairs = np.unique(faces.ravel() * stride + np.repeat(codes(regions), 3))
    total = np.zeros(points, dtype=np.uint64)
    np.add.at(total, pairs // stride, _scrambled(pairs % stride))
    return total


def _scrambled(numbers: Integers) -> NDArray[np.uint64]:
    """Return numbers whose sums tell which they were: two are alike by chance once in 2^64."""
    scrambled = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    scrambled ^= scrambled >> np.uint64(29)
    return scrambled * np.uint64(0xBF58476D1CE4E5B9)


def collapse(body: Surface, shortest: float, longest: float) -> Surface:
    """Return a surface whose edges below `shortest` are drawn together where that changes no topology.

    Vertices of walls move onto those of curves and these onto corners, never the other way. The faces around both ends
    must keep their sides and get no edge above `longest`.
    """
    banned = np.zeros(0, dtype=np.int64)
    stride = len(body.points)
    for _ in range(_ROUNDS):
        net = edges(body.faces)
        length = lengths(body.points, net)
        key = net.ends[:, 0] * stride + net.ends[:, 1]
        short = np.flatnonzero((length < shortest) & ~np.isin(key, banned))
        if not len(short):
            break
        edge = junctions(net, body.regions)
        rank = ranks(stride, net, edge, body.faces, body.regions)
        ends = net.ends[short]
        # An edge across a wall may not tie two curves together, nor one of a curve two corners, unless they are as one.
        kind = meetings(stride, body.faces, body.regions)[ends]
        alike = (length[short] < _SPECK * shortest) | (kind[:, 0] == kind[:, 1])
        allowed = (rank[ends].min(1) <= edge[short]) | (edge[short] & alike)
        banned = np.append(banned, key[short[~allowed]])
        short = short[allowed]
        short = short[np.argsort(length[short], kind="stable")]
        short = short[_independent(body.faces, net.ends[short], stride)]
        ends = net.ends[short]
        swap = rank[ends[:, 0]] < rank[ends[:, 1]]
        keep, gone = np.where(swap, ends[:, 1], ends[:, 0]), np.where(swap, ends[:, 0], ends[:, 1])
        alike = (rank[keep] == rank[gone])[:, None]
        target = np.where(alike, (body.points[keep] + body.points[gone]) / 2, body.points[keep])
        good = _linked(net, edge, short) & _sound(body, keep, gone, target, longest)
        banned = np.append(banned, key[short[~good]])
        keep, gone, target = keep[good], gone[good], target[good]
        points, onto = body.points.copy(), np.arange(stride)
        points[keep], onto[gone] = target, keep
        faces = onto[body.faces]
        left = (faces != np.roll(faces, 1, 1)).all(1)
        body = Surface(points, faces[left], body.regions[left], body.density[left])
        if len(short) < _FEW * len(faces):
            break
    return body


def _independent(faces: Integers, ends: Integers, count: int) -> Mask:
    """Return which of some edges (n, 2), those wanted most first, share no face around their ends with one before."""
    first = np.full(count, len(ends))
    order = np.arange(len(ends))
    np.minimum.at(first, ends.ravel(), np.repeat(order, 2))
    around = first[faces].min(1)
    best = np.full(count, len(ends))
    np.minimum.at(best, faces.ravel(), np.repeat(around, 3))
    return (best[ends] == order[:, None]).all(1)


def _linked(net: Edges, edge: Mask, chosen: Integers) -> Mask:
    """Return whether edges may be drawn together: the neighbours that their ends share are corners of their faces.

    This is the link condition (Dey, Edelsbrunner, Guha and Nekhayev, Publ. Inst. Math. 66, 23, 1999), for the surface
    and for the curves in it: ends of an edge of a curve may share no neighbour along curves.
    """
    count = int(net.ends.max()) + 1
    both = np.concatenate([net.ends, net.ends[:, ::-1]])
    curve = np.tile(edge, 2)
    order = np.argsort(both[:, 0], kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(both[:, 0], minlength=count))]).astype(np.int64)
    other, curve = both[order, 1], curve[order]
    rows = [spans(start, net.ends[chosen, k]) for k in (0, 1)]
    owner = np.concatenate([row[0] for row in rows])
    place = np.concatenate([row[1] for row in rows])
    key = owner * count + other[place]
    order = np.argsort(key, kind="stable")
    twice = np.flatnonzero(key[order][1:] == key[order][:-1])
    first, second = order[twice], order[twice + 1]
    shared = np.bincount(owner[first], minlength=len(chosen))
    bridged = np.bincount(owner[first], curve[place[first]] & curve[place[second]], len(chosen))
    return (shared == net.count[chosen]) & (bridged == 0)


def _sound(body: Surface, keep: Integers, gone: Integers, target: Floats, longest: float) -> Mask:
    """Return whether the faces around edges stay as they are, more or less, when both ends move to a target."""
    start, around = fans(body.faces, len(body.points))
    rows = [spans(start, ends) for ends in (keep, gone)]
    owner = np.concatenate([row[0] for row in rows])
    face = around[np.concatenate([row[1] for row in rows])]
    faces = body.faces[face]
    end = (faces == keep[owner, None]) | (faces == gone[owner, None])
    stay = end.sum(1) == 1
    owner, faces, end = owner[stay], faces[stay], end[stay]
    old = body.points[faces]
    new = np.where(end[..., None], target[owner, None], old)
    loose = np.arange(3 * len(faces)).reshape(-1, 3)
    before, after = normals(old.reshape(-1, 3), loose), normals(new.reshape(-1, 3), loose)
    turned = (before * after).sum(1) < _TURN * np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    thin = shapes(new.reshape(-1, 3), loose) < np.minimum(_THIN, 0.5 * shapes(old.reshape(-1, 3), loose))
    flat = (after == 0).all(1) & (before != 0).any(1)
    long = np.linalg.norm(new - target[owner, None], axis=-1).max(1)
    # Two faces that end up on the same three vertices would lie on one another.
    same = np.sort(np.where(end, -1, faces), 1)
    order = np.lexsort((same[:, 2], same[:, 1], owner))
    twin = np.zeros(len(owner), dtype=bool)
    sorted_ = np.concatenate([owner[order, None], same[order]], 1)
    twin[order[1:]] = (sorted_[1:] == sorted_[:-1]).all(1)
    bad = turned | thin | flat | (long > longest) | twin
    return np.bincount(owner, bad, len(keep)) == 0


def flip(body: Surface) -> Surface:
    """Return a surface whose edges within walls join the corners that make the angles opposite to them small.

    An edge is turned where these add up to more than pi (Delaunay's criterion) and its faces are nearly in one plane.
    """
    for _ in range(_ROUNDS // 10):
        net = edges(body.faces)
        edge, a, b, c, d = quads(body, net)
        gain = -(_cotangent(body.points, c, a, b) + _cotangent(body.points, d, a, b))
        wanted = np.flatnonzero(gain > 1e-3)
        wanted = wanted[np.argsort(-gain[wanted], kind="stable")]
        a, b, c, d = a[wanted], b[wanted], c[wanted], d[wanted]
        old = [normals(body.points, np.stack(one, -1)) for one in ((a, b, c), (b, a, d))]
        new = [normals(body.points, np.stack(one, -1)) for one in ((a, d, c), (d, b, c))]
        good = _alike(old[0], old[1], _FOLD)
        for one in new:
            good &= (one != 0).any(1) & _alike(one, old[0], _FOLD) & _alike(one, old[1], _FOLD)
        turned, count = exchanged(body, net, edge[wanted[good]])
        if not count:
            break
        body = turned
    return body


def quads(body: Surface, net: Edges) -> tuple[Integers, Integers, Integers, Integers, Integers]:
    """Return the edges within walls (n,), from a to b in the first of their faces, and the far corners c, d of both."""
    edge = np.flatnonzero(~junctions(net, body.regions))
    first, second = _sides(net, edge)
    # Where two faces of a wall are given with opposite regions, they follow the edge alike: they are left alone.
    proper = net.forth.ravel()[first] != net.forth.ravel()[second]
    edge, first, second = edge[proper], first[proper], second[proper]
    a, b, c = (body.faces[first // 3, (first + k) % 3] for k in range(3))
    return edge, a, b, c, body.faces[second // 3, (second + 2) % 3]


def _sides(net: Edges, edge: Integers) -> tuple[Integers, Integers]:
    """Return the two sides, 3 f + k for side k of face f, at edges that have two."""
    side = np.argsort(net.of.ravel(), kind="stable")
    start = np.concatenate([[0], np.cumsum(net.count)])
    return side[start[edge]], side[start[edge] + 1]


def exchanged(body: Surface, net: Edges, edge: Integers) -> tuple[Surface, int]:
    """Return a surface in which edges join the far corners of their two faces instead, and how many do.

    The edges are given in the order in which they are wanted. None is turned whose far corners have an edge already,
    nor two at one face.
    """
    first, second = _sides(net, edge)
    f, g = first // 3, second // 3
    a, b, c = (body.faces[f, (first + k) % 3] for k in range(3))
    d = body.faces[g, (second + 2) % 3]
    stride = len(body.points)
    key = np.minimum(c, d) * stride + np.maximum(c, d)
    free = (c != d) & ~np.isin(key, net.ends[:, 0] * stride + net.ends[:, 1])
    order = np.where(free, np.arange(len(edge)), len(edge))
    best = np.full(len(body.faces), len(edge))
    np.minimum.at(best, np.concatenate([f, g]), np.tile(order, 2))
    alone = np.flatnonzero(free & (best[f] == order) & (best[g] == order))
    chosen = alone[np.unique(key[alone], return_index=True)[1]]
    a, b, c, d, f, g = (table[chosen] for table in (a, b, c, d, f, g))
    faces, density = body.faces.copy(), body.density.copy()
    faces[f], faces[g] = np.stack([a, d, c], -1), np.stack([d, b, c], -1)
    density[f] = density[g] = (density[f] + density[g]) / 2
    return Surface(body.points, faces, body.regions, density), len(chosen)


def _cotangent(points: Floats, at: Integers, first: Integers, second: Integers) -> Floats:
    u, v = points[first] - points[at], points[second] - points[at]
    sine = np.linalg.norm(np.cross(u, v), axis=-1)
    # The angle of a face without area is 0 or pi.
    return (u * v).sum(-1) / np.maximum(sine, 1e-12 * np.maximum(np.square(u).sum(-1), 1e-300))


def _alike(first: Floats, second: Floats, cosine: float) -> Mask:
    """Return whether vectors point the same way, to within an angle; those without length do."""
    scale = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(1) >= cosine * scale
