"""Polyhedra: volumes and silhouettes of convex bodies from tables of their corners, many bodies at a time."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from exitwave.specimen.habit import ends_of, pairs_of, triples_of

# Relative: corners closer than this are one, and edges in one line to this angle are one edge.
_SAME = 1e-9
# Entries of the largest tables over bodies, corners and faces.
_TABLE = 1 << 15


def corners_of(distance: Tensor, faces: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return the corners (N, T, 3) of bodies with `faces` at distances (N, F); slots without one repeat the centre.

    Every triple of faces meets in a point; it is a corner where no other face cuts it off.
    """
    triples, inverses = triples_of(faces)
    triples = triples.to(distance.device)
    inverses = inverses.to(distance).permute(2, 1, 0).contiguous()  # (face of the triple, coordinate, triple)
    normals = torch.tensor(faces, dtype=distance.dtype, device=distance.device)
    corners = []
    # The (faces x triples) table of a few bodies at a time: a form of 48 faces has 17,000 triples.
    for some in distance.split(max(1, _TABLE // (len(triples) * len(normals)))):
        first, second, third = (some[:, triple, None].transpose(1, 2) for triple in triples.unbind(1))
        # Element by element: a matrix product would round according to how many bodies there are.
        points = first * inverses[0] + second * inverses[1] + third * inverses[2]  # (n, 3, T)
        slack = some[:, :, None] - normals @ points
        outside = slack.amin(1, keepdim=True) < -1e-7 * some.amax(-1)[:, None, None]
        corners.append(points.masked_fill(outside, 0.0).transpose(1, 2))
    return torch.cat(corners)


class Ridges(NamedTuple):
    """The edges of N bodies by pairs of faces: where each starts (N, P, 3), its length and whether there is one (N, P).

    Every pair of faces that touch has one, if only of no length; `pairs` (P, 2) are the faces and `along` (P, 3) the
    unit vectors from where edges start.
    """

    start: Tensor
    length: Tensor
    there: Tensor
    pairs: Tensor
    along: Tensor


def ridges_of(corners: Tensor, faces: tuple[tuple[float, ...], ...]) -> Ridges:
    """Return the edges of bodies with the corners (N, T, 3) that `corners_of` gives for `faces`."""
    ends = ends_of(faces).to(corners.device)  # (P, M)
    pairs, along = (table.to(corners.device) for table in pairs_of(faces))
    along = along.to(corners)
    starts, lengths, found = [], [], []
    for some in corners.split(max(1, _TABLE // ends.numel())):
        there = some.any(-1)[:, ends] & (ends >= 0)  # (n, P, M)
        with torch.no_grad():
            way = (some.detach()[:, ends] * along[:, None]).sum(-1)
            low = way.masked_fill(~there, math.inf).argmin(-1)
            high = way.masked_fill(~there, -math.inf).argmax(-1)
        first, last = (
            some.gather(1, ends.expand(there.shape).gather(2, end[..., None]).clamp(min=0).expand(-1, -1, 3))
            for end in (low, high)
        )
        starts.append(first)
        lengths.append(((last - first) * along).sum(-1) * there.any(-1))
        found.append(there.any(-1))
    return Ridges(torch.cat(starts), torch.cat(lengths), torch.cat(found), pairs, along)


def gathered(corners: Tensor) -> Tensor:
    """Return corners (N, K, 3) with those that stand for none (the centre) last, and few of them.

    Of all points in which three faces could meet only a few are corners of any one body.
    """
    there = corners.any(-1)
    most = max(1, int(there.sum(1).max())) if len(corners) else 1
    chosen = there.to(torch.uint8).topk(most, dim=1).indices
    return corners.gather(1, chosen[..., None].expand(-1, -1, 3))


def volume_of(corners: Tensor, normals: Tensor, distance: Tensor) -> Tensor:
    """Return the volumes (N,) of bodies with corners (N, K, 3) and faces (F, 3) at distances (N, F) from the centre.

    By the divergence theorem these are the areas of the faces times a third of their distances.
    """
    height = corners @ normals.T
    near = (height - distance[:, None, :]).abs() < 1e-6 * distance.amax(-1)[:, None, None]
    on = (near & corners.any(-1, keepdim=True)).transpose(1, 2)  # (N, F, K)
    helper = torch.eye(3, dtype=normals.dtype, device=normals.device)[normals.abs().argmin(-1)]
    first = torch.nn.functional.normalize(torch.linalg.cross(normals, helper), dim=-1)
    sides = (corners @ first.T, corners @ torch.linalg.cross(normals, first).T)
    u, v = (side.transpose(1, 2) for side in sides)
    number = on.sum(-1, keepdim=True).clamp(min=1)
    # Seen from their mean, the corners of a convex face follow one another by angle; what is not on it comes last.
    middle_u, middle_v = ((side * on).sum(-1, keepdim=True) / number for side in (u, v))
    angle = torch.atan2(v - middle_v, u - middle_u).masked_fill(~on, math.inf)
    order = angle.argsort(-1)
    order = torch.where(on.gather(-1, order), order, order[..., :1])
    u, v = u.gather(-1, order), v.gather(-1, order)
    area = (u * torch.roll(v, -1, -1) - v * torch.roll(u, -1, -1)).sum(-1).abs() / 2
    return (area * distance).sum(-1) / 3


def hulls(points: Tensor) -> list[Tensor]:
    """Return the convex hulls of N sets of points (N, K, 2): polygons (V, 2) turning from the first axis to the second.

    All hulls are wrapped at once (R. A. Jarvis, Inf. Process. Lett. 2, 18, 1973): from every corner on to the point
    that asks for the smallest turn, and of several in one line to the farthest.

    >>> hulls(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [0.1, 0.1], [0.0, 1.0], [0.0, 0.5]]]))
    [tensor([[0., 0.],
            [1., 0.],
            [0., 1.]])]
    """
    if not len(points):
        return []
    each = torch.arange(len(points), device=points.device)
    tiny = _SAME * points.abs().amax((1, 2)).clamp(min=torch.finfo(points.dtype).tiny)
    current = _lowest(points, tiny)
    begin = points[each, current]
    along = torch.zeros_like(begin)
    along[:, 1] = -1.0  # the first corner has the smallest first coordinate: no point lies behind it
    chain, open_ = [current], torch.ones_like(current, dtype=torch.bool)
    going = [open_]
    for _ in range(points.shape[1] - 1):
        step = points - points[each, current][:, None]
        far = torch.linalg.vector_norm(step, dim=-1)
        across = along[:, :1] * step[..., 1] - along[:, 1:] * step[..., 0]
        turn = torch.atan2(across, step[..., 0] * along[:, :1] + step[..., 1] * along[:, 1:])
        # Rounding makes a turn of nothing negative; one of almost a whole turn there is none.
        turn = torch.where(turn < -0.5, turn + 2 * math.pi, turn).masked_fill(far <= tiny[:, None], math.inf)
        least = turn <= turn.amin(1, keepdim=True) + _SAME
        current = far.masked_fill(~least, -1.0).argmax(1)
        open_ = open_ & (torch.linalg.vector_norm(points[each, current] - begin, dim=-1) > tiny)
        if not open_.any():
            break
        chain.append(current)
        going.append(open_)
        along = step[each, current] / far[each, current].clamp(min=torch.finfo(points.dtype).tiny)[:, None]
    taken = torch.stack(going, 1)
    order = torch.stack(chain, 1)
    corners = points.gather(1, order[..., None].expand(-1, -1, 2))[taken]
    return list(corners.split(taken.sum(1).tolist()))


def _lowest(points: Tensor, tiny: Tensor) -> Tensor:
    """Return the number (N,) of the point with the smallest first coordinate, and of several the smallest second."""
    first, second = points.unbind(-1)
    lowest = first <= first.amin(1, keepdim=True) + tiny[:, None]
    return second.masked_fill(~lowest, math.inf).argmin(1)
