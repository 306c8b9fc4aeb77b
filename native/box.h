// Rectangular blocks, as vectors of samples; see shapes.h for what a body offers.
#pragma once

#include "shapes.h"

namespace exitwave::EXITWAVE_LEVEL {

template <Asked asked = Asked::volume> struct Box {
    static constexpr int SIDES = 3;
    float slope_y[SIDES], slope_x[SIDES], reach[SIDES], normal_y[SIDES], normal_x[SIDES], width[SIDES], cell, per_cell;
    struct Sums {
        Wide row[6 * SIDES];
    };
    struct Point {
        Wide entry, leave, hit;
        Slope slope;
        Wide near_y, near_x, outward_y, outward_x, side[SIDES];
        // Which face it is, and which edge: two edges at the same distance, as those of a box that is tilted about
        // one of its own axes, have half of the derivative each, and the first of them is the one whose normal counts.
        Mask leaves[SIDES], enters[SIDES], nearest[SIDES];
        Wide parts[SIDES];
        Rim<false> rim;
    };

    EXITWAVE_METHOD Box(const float *row, int, float cell, float *) : cell(cell), per_cell(1.0f / cell) {
        for (int side = 0; side < SIDES; ++side) {
            slope_y[side] = row[side];
            slope_x[side] = row[side + 3];
            reach[side] = row[side + 6];
            normal_y[side] = row[side + 9];
            normal_x[side] = row[side + 12];
            width[side] = row[side + 15];
        }
    }

    EXITWAVE_METHOD Sums fresh() const { return Sums{}; }

    EXITWAVE_METHOD float half_height() const {
        // Eliminating x from two strips bounds y; the tightest pair tells how far their intersection reaches.
        float found = 1.0f / 0.0f;
        for (int one = 0; one < SIDES; ++one) {
            for (int other = 0; other < one; ++other) {
                const float across = absolute(normal_y[one] * normal_x[other] - normal_y[other] * normal_x[one]);
                const float bound = width[one] * absolute(normal_x[other]) + width[other] * absolute(normal_x[one]);
                found = across > 1e-7f && bound < found * across ? bound / across : found;
            }
        }
        return found + 0.5f * cell;
    }

    EXITWAVE_METHOD void span(Wide y, Wide &low, Wide &high) const {
        low = all_wide(-1.0f / 0.0f);
        high = all_wide(1.0f / 0.0f);
        for (int side = 0; side < SIDES; ++side) {
            cut_by_strip(normal_y[side], normal_x[side], width[side] + 0.5f * cell, y, low, high);
        }
    }

    template <bool tracked> EXITWAVE_METHOD Point at(Wide y, Wide x) const {
        Point point{};
        Wide distance{};
#pragma GCC unroll 3
        for (int edge = 0; edge < SIDES; ++edge) {
            const Wide height = normal_y[edge] * y + normal_x[edge] * x, inside = width[edge] - magnitude(height);
            const Mask nearer = edge == 0 ? all_mask(true) : inside < distance;
            if (tracked) {
                const Mask farther = edge == 0 ? Mask{} : inside > distance;
                point.parts[edge] = select(nearer, all_wide(1.0f), where(~farther, all_wide(0.5f)));
            }
            distance = edge == 0 ? inside : lesser(inside, distance);
            point.outward_y = select(nearer, turned(all_wide(normal_y[edge]), height), point.outward_y);
            point.outward_x = select(nearer, turned(all_wide(normal_x[edge]), height), point.outward_x);
            if (tracked) {
                point.side[edge] = height;
                point.nearest[edge] = nearer;
            }
        }
        point.rim = Rim<false>(distance, cell, per_cell);
        point.hit = point.rim.hit;
        point.near_y = y - point.rim.inward * point.outward_y;
        point.near_x = x - point.rim.inward * point.outward_x;
        Wide enter{};
#pragma GCC unroll 3
        for (int face = 0; face < SIDES; ++face) {
            const Wide plane = slope_y[face] * point.near_y + slope_x[face] * point.near_x;
            const Wide above = reach[face] - plane, below = reach[face] + plane;
            if (tracked) {
                point.leaves[face] = face == 0 ? all_mask(true) : above < point.leave;
                point.enters[face] = face == 0 ? all_mask(true) : below < enter;
            }
            if constexpr (asked == Asked::surface) {
                const Mask lower = face == 0 ? all_mask(true) : above < point.leave;
                point.slope.y = select(lower, all_wide(-slope_y[face]), point.slope.y);
                point.slope.x = select(lower, all_wide(-slope_x[face]), point.slope.x);
            }
            point.leave = face == 0 ? above : lesser(above, point.leave);
            enter = face == 0 ? below : lesser(below, enter);
        }
        point.entry = -enter;
        if (tracked) {
            settle(point.nearest);
            point.parts[0] = (1.0f - point.parts[1]) * (1.0f - point.parts[2]);
            point.parts[1] = point.parts[1] * (1.0f - point.parts[2]);
            settle(point.leaves);
            settle(point.enters);
        }
        return point;
    }

    // Of the sides that were the least in their turn, the last one is the least of all.
    static EXITWAVE_METHOD void settle(Mask (&sides)[SIDES]) {
        sides[1] = sides[1] & ~sides[2];
        sides[0] = ~(sides[1] | sides[2]);
    }

    EXITWAVE_METHOD void back(const Point &point, Wide y, Wide x, Wide by_entry, Wide by_leave, Wide by_hit, Slope by_slope,
                              Sums &sums, Wide &by_y, Wide &by_x) const {
        Wide by_near_y{}, by_near_x{};
#pragma GCC unroll 3
        for (int face = 0; face < SIDES; ++face) {
            const Wide above = where(point.leaves[face], by_leave), below = where(point.enters[face], by_entry);
            const Wide by_plane = -(above + below);
            sums.row[face] += by_plane * point.near_y;
            sums.row[face + 3] += by_plane * point.near_x;
            sums.row[face + 6] += above - below;
            if constexpr (asked == Asked::surface) {
                sums.row[face] -= where(point.leaves[face], by_slope.y);
                sums.row[face + 3] -= where(point.leaves[face], by_slope.x);
            }
            by_near_y += by_plane * slope_y[face];
            by_near_x += by_plane * slope_x[face];
        }
        const Wide by_inward = -(by_near_y * point.outward_y + by_near_x * point.outward_x);
        const Wide by_distance = point.rim.back(by_hit, by_inward, per_cell);
        const Wide by_outward_y = -point.rim.inward * by_near_y, by_outward_x = -point.rim.inward * by_near_x;
        by_y = by_near_y;
        by_x = by_near_x;
#pragma GCC unroll 3
        for (int edge = 0; edge < SIDES; ++edge) {
            const Wide distance = point.parts[edge] * by_distance;
            const Wide by_height = -turned(distance, point.side[edge]);
            sums.row[edge + 9] += by_height * y + where(point.nearest[edge], turned(by_outward_y, point.side[edge]));
            sums.row[edge + 12] += by_height * x + where(point.nearest[edge], turned(by_outward_x, point.side[edge]));
            sums.row[edge + 15] += distance;
            by_y += by_height * normal_y[edge];
            by_x += by_height * normal_x[edge];
        }
    }

    EXITWAVE_METHOD void reduce(const Sums &sums, float *row) const {
        for (int column = 0; column < 6 * SIDES; ++column) {
            row[column] = total(sums.row[column]);
        }
    }
};

} // namespace exitwave::EXITWAVE_LEVEL
