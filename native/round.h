// Bodies with round rims, as vectors of samples; see shapes.h for what a body offers.
#pragma once

#include "shapes.h"

namespace exitwave::EXITWAVE_LEVEL {

template <Asked asked = Asked::volume> struct Sphere {
    float radius, square, cell, per_cell, outer;
    struct Sums {
        Wide row[1];
    };
    struct Point {
        Wide entry, leave, hit, square, shrink;
        Slope slope;
        Root distance, half;
        Rim<asked == Asked::volume> rim;
    };

    EXITWAVE_METHOD Sphere(const float *row, int, float cell, float *)
        : radius(row[0]), square(row[0] * row[0]), cell(cell), per_cell(1.0f / cell), outer(row[0] + 0.5f * cell) {}

    EXITWAVE_METHOD Sums fresh() const { return Sums{}; }

    EXITWAVE_METHOD float half_height() const { return outer; }

    EXITWAVE_METHOD void span(Wide y, Wide &low, Wide &high) const {
        high = square_root(greater(outer * outer - y * y, Wide{}));
        low = -high;
    }

    template <bool> EXITWAVE_METHOD Point at(Wide y, Wide x) const {
        Point point;
        point.square = y * y + x * x;
        point.distance = root_of_squares(point.square);
        point.rim = Rim<asked == Asked::volume>(radius - point.distance.value, cell, per_cell);
        point.hit = point.rim.hit;
        point.shrink = 1.0f - point.rim.inward * point.distance.inverse;
        point.half = root(square - point.square * point.shrink * point.shrink);
        point.leave = point.half.value;
        point.entry = -point.leave;
        if constexpr (asked == Asked::surface) {
            const Wide steep = -point.shrink * where(point.half.inside, point.half.inverse);
            point.slope = {steep * y, steep * x};
        }
        return point;
    }

    EXITWAVE_METHOD void back(const Point &point, Wide y, Wide x, Wide by_entry, Wide by_leave, Wide by_hit, Slope by_slope,
                              Sums &sums, Wide &by_y, Wide &by_x) const {
        using exitwave::EXITWAVE_LEVEL::back;
        Wide by_radicand = back(point.half, by_leave - by_entry), by_shrink{}, straight{};
        if constexpr (asked == Asked::surface) {
            // The slope is -shrink (y, x) / half.
            const Wide towards = y * by_slope.y + x * by_slope.x;
            straight = -where(point.half.inside, point.half.inverse);
            by_shrink = straight * towards;
            by_radicand += back_inverse(point.half, -point.shrink * towards);
            straight = straight * point.shrink;
        }
        by_shrink -= 2.0f * by_radicand * point.square * point.shrink;
        const Wide by_inward = -by_shrink * point.distance.inverse;
        const Wide by_depth = point.rim.back(by_hit, by_inward, per_cell);
        const Wide by_distance = -by_inward * point.rim.inward * point.distance.inverse - by_depth;
        const Wide by_square = back(point.distance, by_distance) - by_radicand * point.shrink * point.shrink;
        sums.row[0] += by_depth + 2.0f * radius * by_radicand;
        by_y = 2.0f * y * by_square;
        by_x = 2.0f * x * by_square;
        if constexpr (asked == Asked::surface) {
            by_y += straight * by_slope.y;
            by_x += straight * by_slope.x;
        }
    }

    EXITWAVE_METHOD void reduce(const Sums &sums, float *row) const { row[0] = total(sums.row[0]); }
};

template <Asked asked = Asked::volume> struct Ellipsoid {
    float yy, yx, xx, tilt_y, tilt_x, middle, cell, per_cell;
    float lean, wide, narrow; // of the outer ellipse: x = lean y +- sqrt(wide - narrow y^2)
    struct Sums {
        Wide row[6];
    };
    struct Point {
        Wide entry, leave, hit;
        Wide slope_y, slope_x, near_y, near_x;
        Slope slope;
        Root level, steep, half;
        Rim<asked == Asked::volume> rim;
    };

    EXITWAVE_METHOD Ellipsoid(const float *row, int, float cell, float *)
        : yy(row[0]), yx(row[1]), xx(row[2]), tilt_y(row[3]), tilt_x(row[4]), middle(row[5]), cell(cell),
          per_cell(1.0f / cell) {
        // Half a cell beyond the silhouette, measured along its shorter axis.
        const float mean = 0.5f * (yy + xx);
        const float steepest = scalar_root(mean + scalar_root(0.25f * (yy - xx) * (yy - xx) + yx * yx));
        const float grown = 1.0f + 0.5f * cell * steepest;
        lean = -yx / xx;
        wide = grown * grown / xx;
        narrow = (yy * xx - yx * yx) / (xx * xx);
    }

    EXITWAVE_METHOD Sums fresh() const { return Sums{}; }

    EXITWAVE_METHOD float half_height() const { return scalar_root(wide / narrow); }

    EXITWAVE_METHOD void span(Wide y, Wide &low, Wide &high) const {
        const Wide half = square_root(greater(wide - narrow * y * y, Wide{}));
        low = lean * y - half;
        high = lean * y + half;
    }

    template <bool> EXITWAVE_METHOD Point at(Wide y, Wide x) const {
        Point point;
        const Wide slope_y = yy * y + yx * x, slope_x = yx * y + xx * x;
        point.slope_y = slope_y;
        point.slope_x = slope_x;
        point.level = root(slope_y * y + slope_x * x);
        point.steep = root_of_squares(slope_y * slope_y + slope_x * slope_x);
        const Wide radius = point.level.value;
        point.rim = Rim<asked == Asked::volume>((1.0f - radius) * radius * point.steep.inverse, cell, per_cell);
        point.hit = point.rim.hit;
        const Wide shift = point.rim.inward * point.steep.inverse;
        const Wide near_y = y - shift * slope_y, near_x = x - shift * slope_x;
        point.near_y = near_y;
        point.near_x = near_x;
        point.half = root(1.0f - (yy * near_y * near_y + 2.0f * yx * near_y * near_x + xx * near_x * near_x));
        const Wide centre = tilt_y * near_y + tilt_x * near_x, reach = middle * point.half.value;
        point.entry = centre - reach;
        point.leave = centre + reach;
        if constexpr (asked == Asked::surface) {
            const Wide steep = -middle * where(point.half.inside, point.half.inverse);
            point.slope = {tilt_y + steep * (yy * near_y + yx * near_x), tilt_x + steep * (yx * near_y + xx * near_x)};
        }
        return point;
    }

    EXITWAVE_METHOD void back(const Point &point, Wide y, Wide x, Wide by_entry, Wide by_leave, Wide by_hit, Slope by_slope,
                              Sums &sums, Wide &by_y, Wide &by_x) const {
        using exitwave::EXITWAVE_LEVEL::back;
        const Wide by_reach = by_leave - by_entry, by_centre = by_leave + by_entry;
        Wide by_level = -back(point.half, by_reach * middle);
        const Wide near_y = point.near_y, near_x = point.near_x;
        const Wide pull_y = yy * near_y + yx * near_x, pull_x = yx * near_y + xx * near_x;
        Wide by_pull_y{}, by_pull_x{};
        if constexpr (asked == Asked::surface) {
            // The slope is tilt - middle / half pull.
            const Wide towards = pull_y * by_slope.y + pull_x * by_slope.x;
            const Wide steep = -where(point.half.inside, point.half.inverse);
            by_level -= back_inverse(point.half, -middle * towards);
            by_pull_y = middle * steep * by_slope.y;
            by_pull_x = middle * steep * by_slope.x;
            sums.row[0] += by_pull_y * near_y;
            sums.row[1] += by_pull_y * near_x + by_pull_x * near_y;
            sums.row[2] += by_pull_x * near_x;
            sums.row[3] += by_slope.y;
            sums.row[4] += by_slope.x;
            sums.row[5] += steep * towards;
        }
        by_pull_y += 2.0f * by_level * near_y;
        by_pull_x += 2.0f * by_level * near_x;
        const Wide by_near_y = yy * by_pull_y + yx * by_pull_x + by_centre * tilt_y;
        const Wide by_near_x = yx * by_pull_y + xx * by_pull_x + by_centre * tilt_x;
        sums.row[3] += by_centre * near_y;
        sums.row[4] += by_centre * near_x;
        sums.row[5] += by_reach * point.half.value;
        // near = (y, x) - inward slope / steep; distance = (1 - level) level / steep.
        const Wide towards = by_near_y * point.slope_y + by_near_x * point.slope_x;
        const Wide by_distance = point.rim.back(by_hit, -towards * point.steep.inverse, per_cell);
        const Wide shift = point.rim.inward * point.steep.inverse, radius = point.level.value;
        const Wide by_inverse = by_distance * (1.0f - radius) * radius - point.rim.inward * towards;
        const Wide by_steep = back(point.steep, -2.0f * by_inverse * point.steep.inverse * point.steep.inverse);
        const Wide by_round = back(point.level, by_distance * (1.0f - 2.0f * radius) * point.steep.inverse);
        const Wide by_slope_y = by_steep * point.slope_y - shift * by_near_y + by_round * y;
        const Wide by_slope_x = by_steep * point.slope_x - shift * by_near_x + by_round * x;
        sums.row[0] += by_level * near_y * near_y + by_slope_y * y;
        sums.row[1] += 2.0f * by_level * near_y * near_x + by_slope_y * x + by_slope_x * y;
        sums.row[2] += by_level * near_x * near_x + by_slope_x * x;
        by_y = by_near_y + by_round * point.slope_y + by_slope_y * yy + by_slope_x * yx;
        by_x = by_near_x + by_round * point.slope_x + by_slope_y * yx + by_slope_x * xx;
    }

    EXITWAVE_METHOD void reduce(const Sums &sums, float *row) const {
        for (int column = 0; column < 6; ++column) {
            row[column] = total(sums.row[column]);
        }
    }
};

template <Asked asked = Asked::volume> struct Rod {
    float radius, straight, upright, lateral, ey, ex, cell, per_cell, norm, end, per_reach;
    bool tilted;
    Stadium stadium;
    struct Sums {
        Wide row[6], norm;
    };
    // One end of the chord: `middle` along the axis is the centre of the sphere that it lies on.
    struct End {
        Wide free, middle, rest;
        Root half;
    };
    struct Point {
        Wide entry, leave, hit;
        Wide along, across, beyond, shift, near_along, near_across;
        Wide steep_along, steep_across; // the slope along the axis and across it
        Slope slope;
        Root distance, width;
        End last, first;
        Rim<asked == Asked::volume> rim;
    };

    EXITWAVE_METHOD Rod(const float *row, int, float cell, float *)
        : radius(row[0]), straight(row[1]), upright(row[2]), lateral(row[3]), ey(row[4]), ex(row[5]), cell(cell),
          per_cell(1.0f / cell), norm(ey * ey + ex * ex), end(straight * lateral),
          per_reach(1.0f / at_least(lateral, 1e-6f)), tilted(lateral >= 1e-6f),
          stadium(end * ey, end * ex, (ey < 0.0f ? ex : -ex) * (radius + 0.5f * cell), 0.0f,
                  (radius + 0.5f * cell) * (radius + 0.5f * cell), 1.0f) {}

    EXITWAVE_METHOD Sums fresh() const { return Sums{}; }

    EXITWAVE_METHOD float half_height() const { return absolute(stadium.ey) + radius + 0.5f * cell; }

    EXITWAVE_METHOD void span(Wide y, Wide &low, Wide &high) const { stadium.span(y, low, high); }

    EXITWAVE_METHOD void find_end(Wide along, Wide width, float upwards, End &end) const {
        end.free = (along + width * upwards) * per_reach;
        end.middle = clamp(end.free, all_wide(-straight), all_wide(straight));
        end.rest = along - end.middle * lateral;
        end.half = root(width * width - end.rest * end.rest);
    }

    template <bool> EXITWAVE_METHOD Point at(Wide y, Wide x) const {
        Point point;
        const Wide along = ey * y + ex * x, across = ex * y - ey * x;
        const Wide beyond = along - clamp(along, all_wide(-end), all_wide(end));
        point.along = along;
        point.across = across;
        point.beyond = beyond;
        point.distance = root_of_squares(beyond * beyond + across * across);
        point.rim = Rim<asked == Asked::volume>(radius - point.distance.value, cell, per_cell);
        point.hit = point.rim.hit;
        point.shift = point.rim.inward * norm * point.distance.inverse;
        point.near_along = along - point.shift * beyond;
        point.near_across = across - point.shift * across;
        point.width = root(radius * radius - point.near_across * point.near_across);
        find_end(point.near_along, point.width.value, upright, point.last);
        find_end(point.near_along, point.width.value, -upright, point.first);
        point.leave = point.last.middle * upright + point.last.half.value;
        point.entry = point.first.middle * upright - point.first.half.value;
        if constexpr (asked == Asked::surface) {
            // On the mantle the height is (along upright + width) / lateral, on a cap middle upright + half.
            const Mask cap = on_cap(point.last);
            const Wide level = where(point.last.half.inside, point.last.half.inverse);
            const Wide wall = where(point.width.inside, point.width.inverse) * per_reach;
            point.steep_along = select(cap, -point.last.rest * level, all_wide(upright * per_reach));
            point.steep_across = -point.near_across * select(cap, level, wall);
            point.slope = {ey * point.steep_along + ex * point.steep_across,
                           ex * point.steep_along - ey * point.steep_across};
        }
        return point;
    }

    EXITWAVE_METHOD Mask on_cap(const End &end) const { return (end.free > straight) | (end.free < -straight); }

    // Adds the gradients of the slope: those by how far along and across it is taken, and by the radicands of the cap's
    // height and of the width.
    EXITWAVE_METHOD void back_slope(const Point &point, Slope by_slope, Sums &sums, Wide &by_rest, Wide &by_half,
                                    Wide &by_across, Wide &by_width) const {
        const Wide by_along = ey * by_slope.y + ex * by_slope.x, by_off = ex * by_slope.y - ey * by_slope.x;
        sums.row[4] += by_slope.y * point.steep_along - by_slope.x * point.steep_across;
        sums.row[5] += by_slope.y * point.steep_across + by_slope.x * point.steep_along;
        const Mask cap = on_cap(point.last);
        const Wide cap_along = where(cap, by_along), cap_off = where(cap, by_off);
        const Wide level = where(point.last.half.inside, point.last.half.inverse);
        by_rest = -level * cap_along;
        by_half = back_inverse(point.last.half, -(point.last.rest * cap_along + point.near_across * cap_off));
        const Wide wall_along = where(~cap, by_along), wall_off = where(~cap, by_off);
        const Wide wall = where(point.width.inside, point.width.inverse);
        by_across = -level * cap_off - wall * per_reach * wall_off;
        by_width = back_inverse(point.width, -point.near_across * per_reach * wall_off);
        sums.row[2] += per_reach * wall_along;
        sums.row[3] -= (tilted ? per_reach * per_reach : 0.0f) *
                       (upright * wall_along - point.near_across * wall * wall_off);
    }

    // Adds the gradients of one end of the chord, given those by its height, by the radicand of its half and by how far
    // along the axis it lies from the middle.
    EXITWAVE_METHOD void back_end(const End &end, Wide by_height, Wide by_radicand, Wide by_rest, float upwards,
                                  float sense, Wide width, Sums &sums, Wide &by_along, Wide &by_width) const {
        by_rest -= 2.0f * end.rest * by_radicand;
        const Wide by_middle = by_height * upright - by_rest * lateral;
        const Mask above = end.free > straight, below = end.free < -straight;
        const Wide by_free = where(~(above | below), by_middle) * per_reach;
        by_along += by_rest + by_free;
        by_width += 2.0f * width * by_radicand + by_free * upwards;
        sums.row[1] += where(above, by_middle) - where(below, by_middle);
        sums.row[2] += by_height * end.middle + sense * by_free * width;
        sums.row[3] -= by_rest * end.middle + (tilted ? 1.0f : 0.0f) * by_free * end.free;
    }

    EXITWAVE_METHOD void back(const Point &point, Wide y, Wide x, Wide by_entry, Wide by_leave, Wide by_hit, Slope by_slope,
                              Sums &sums, Wide &by_y, Wide &by_x) const {
        using exitwave::EXITWAVE_LEVEL::back;
        Wide by_near_along{}, by_near_across{}, by_width{}, by_rest{}, by_half = back(point.last.half, by_leave);
        Wide by_radicand{};
        if constexpr (asked == Asked::surface) {
            Wide by_level{};
            back_slope(point, by_slope, sums, by_rest, by_level, by_near_across, by_radicand);
            by_half += by_level;
        }
        back_end(point.last, by_leave, by_half, by_rest, upright, 1.0f, point.width.value, sums, by_near_along,
                 by_width);
        back_end(point.first, by_entry, back(point.first.half, -by_entry), Wide{}, -upright, -1.0f, point.width.value,
                 sums, by_near_along, by_width);
        by_radicand += back(point.width, by_width);
        by_near_across -= 2.0f * point.near_across * by_radicand;
        const Wide by_shift = -(by_near_along * point.beyond + by_near_across * point.across);
        const Wide scaled = by_shift * point.distance.inverse;
        const Wide by_depth = point.rim.back(by_hit, scaled * norm, per_cell);
        const Wide by_square = back(point.distance, -by_depth - scaled * point.shift);
        const Wide by_beyond = 2.0f * by_square * point.beyond - point.shift * by_near_along;
        const Mask above = point.along > end, below = point.along < -end;
        const Wide by_end = where(below, by_beyond) - where(above, by_beyond);
        const Wide by_along = by_near_along + where(above | below, by_beyond);
        const Wide by_across = by_near_across * (1.0f - point.shift) + 2.0f * by_square * point.across;
        sums.row[0] += by_depth + 2.0f * radius * by_radicand;
        sums.row[1] += by_end * lateral;
        sums.row[3] += by_end * straight;
        sums.row[4] += by_along * y - by_across * x;
        sums.row[5] += by_along * x + by_across * y;
        sums.norm += scaled * point.rim.inward;
        by_y = ey * by_along + ex * by_across;
        by_x = ex * by_along - ey * by_across;
    }

    EXITWAVE_METHOD void reduce(const Sums &sums, float *row) const {
        for (int column = 0; column < 6; ++column) {
            row[column] = total(sums.row[column]);
        }
        const float by_norm = total(sums.norm);
        row[4] += 2.0f * ey * by_norm;
        row[5] += 2.0f * ex * by_norm;
    }
};

} // namespace exitwave::EXITWAVE_LEVEL
