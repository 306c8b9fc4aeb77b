// Flat circular cylinders, as vectors of samples; see shapes.h for what a body offers.
#pragma once

#include "shapes.h"

namespace exitwave::EXITWAVE_LEVEL {

template <Asked asked = Asked::volume> struct Disk {
    float radius, half, cosine, sine, ey, ex, cell, per_cell, norm, flat, per_flat, per_slant, per_upright, per_radius;
    Stadium stadium;
    struct Sums {
        Wide row[6], norm;
    };
    struct Point {
        Wide entry, leave, hit;
        Wide steep_along, steep_across; // the slope along the tilt and across it
        Slope slope;
        Wide along, across, level_l, level_m, beyond, normal_l, normal_m, gap, near_along, near_across;
        Mask side, mantle_leaves, mantle_enters;
        Root width, incline, level, steep, near_width;
        Rim<false> rim;
    };

    EXITWAVE_METHOD Disk(const float *row, int, float cell, float *)
        : radius(row[0]), half(row[1]), cosine(row[2]), sine(row[3]), ey(row[4]), ex(row[5]), cell(cell),
          per_cell(1.0f / cell), norm(ey * ey + ex * ex), flat(at_least(cosine, 1e-4f)), per_flat(1.0f / flat),
          per_slant(1.0f / at_least(sine, 1e-6f)), per_upright(1.0f / at_least(cosine, 1e-6f)),
          per_radius(1.0f / radius), stadium(outer()) {}

    // The ends are ellipses with the semi-axes flat R along the tilt and R across. Half a cell beyond them lies within
    // ellipses that are larger by half a cell along the tilt and in proportion across, where `span` cuts them off.
    EXITWAVE_METHOD Stadium outer() const {
        const float minor = flat * radius + 0.5f * cell, major = minor * per_flat;
        const float per_minor = 1.0f / (minor * minor), per_major = 1.0f / (major * major);
        // Q = e e / minor^2 + m m / major^2 with m = (ex, -ey) in (y, x).
        const float xx = ex * ex * per_minor + ey * ey * per_major;
        const float yx = ey * ex * (per_minor - per_major);
        return Stadium(half * sine * ey, half * sine * ex, (ey < 0.0f ? ex : -ex) * major, -yx / xx, 1.0f / xx,
                       per_minor * per_major / (xx * xx));
    }

    EXITWAVE_METHOD Sums fresh() const { return Sums{}; }

    EXITWAVE_METHOD float half_height() const {
        // Of the ellipse with both semi-axes, half a cell outside.
        return absolute(stadium.ey) + radius * scalar_root(flat * flat * ey * ey + ex * ex) + 0.5f * cell;
    }

    EXITWAVE_METHOD void span(Wide y, Wide &low, Wide &high) const {
        stadium.span(y, low, high);
        cut_by_strip(ex, -ey, radius + 0.5f * cell, y, low, high);
    }

    template <bool> EXITWAVE_METHOD Point at(Wide y, Wide x) const {
        Point point;
        const Wide along = ey * y + ex * x, across = ex * y - ey * x;
        point.along = along;
        point.across = across;
        point.width = root(radius * radius - across * across);
        const Wide width = point.width.value;
        point.incline = root_of_squares(width * width + cosine * cosine * (across * across));
        point.gap = half * sine + cosine * width - magnitude(along);
        const Wide ends = point.gap * width * point.incline.inverse;
        point.beyond = magnitude(along) - half * sine;
        const Wide level_l = greater(point.beyond, Wide{}) * (per_flat * per_radius), level_m = across * per_radius;
        point.level_l = level_l;
        point.level_m = level_m;
        const Wide steep_l = level_l * per_flat;
        point.level = root_of_squares(level_l * level_l + level_m * level_m);
        point.steep = root_of_squares(steep_l * steep_l + level_m * level_m);
        const Wide sides = (1.0f - point.level.value) * point.level.value * radius * point.steep.inverse;
        point.side = sides < ends;
        const Wide inverse = select(point.side, point.steep.inverse, point.incline.inverse);
        point.normal_l = turned(select(point.side, steep_l, width) * inverse, along);
        point.normal_m = select(point.side, level_m, cosine * across) * inverse;
        point.rim = Rim<false>(lesser(sides, ends), cell, per_cell);
        point.hit = point.rim.hit;
        const Wide near_along = along - point.rim.inward * norm * point.normal_l;
        const Wide near_across = across - point.rim.inward * norm * point.normal_m;
        point.near_along = near_along;
        point.near_across = near_across;
        point.near_width = root(radius * radius - near_across * near_across);
        const Wide mantle_up = (cosine * near_along + point.near_width.value) * per_slant;
        const Wide mantle_down = (cosine * near_along - point.near_width.value) * per_slant;
        const Wide face_up = (half - sine * near_along) * per_upright;
        const Wide face_down = (-half - sine * near_along) * per_upright;
        point.mantle_leaves = mantle_up < face_up;
        point.mantle_enters = mantle_down > face_down;
        point.leave = lesser(mantle_up, face_up);
        point.entry = greater(mantle_down, face_down);
        if constexpr (asked == Asked::surface) {
            const Wide wall = where(point.near_width.inside, point.near_width.inverse) * per_slant;
            point.steep_along =
                select(point.mantle_leaves, all_wide(cosine * per_slant), all_wide(-sine * per_upright));
            point.steep_across = -near_across * where(point.mantle_leaves, wall);
            point.slope = {ey * point.steep_along + ex * point.steep_across,
                           ex * point.steep_along - ey * point.steep_across};
        }
        return point;
    }

    // Adds the gradients of the slope: returns those by how far across it is taken, and by the radicand of the width.
    EXITWAVE_METHOD void back_slope(const Point &point, Slope by_slope, Sums &sums, Wide &by_across,
                                    Wide &by_radicand) const {
        const Wide by_along = ey * by_slope.y + ex * by_slope.x, by_off = ex * by_slope.y - ey * by_slope.x;
        sums.row[4] += by_slope.y * point.steep_along - by_slope.x * point.steep_across;
        sums.row[5] += by_slope.y * point.steep_across + by_slope.x * point.steep_along;
        const Wide wall_along = where(point.mantle_leaves, by_along), wall_off = where(point.mantle_leaves, by_off);
        const Wide face_along = where(~point.mantle_leaves, by_along);
        const Wide inverse = where(point.near_width.inside, point.near_width.inverse);
        by_across = -inverse * per_slant * wall_off;
        by_radicand = back_inverse(point.near_width, -point.near_across * per_slant * wall_off);
        const float tilted = sine >= 1e-6f ? per_slant * per_slant : 0.0f;
        const float lying = cosine >= 1e-6f ? per_upright * per_upright : 0.0f;
        sums.row[2] += per_slant * wall_along + lying * sine * face_along;
        sums.row[3] -= per_upright * face_along +
                       tilted * (cosine * wall_along - point.near_across * inverse * wall_off);
    }

    // Adds the gradients of one end of the chord; `sense` is 1 where it leaves and -1 where it enters.
    EXITWAVE_METHOD void back_end(const Point &point, Mask mantle, Wide by_height, Wide height, float sense, Sums &sums,
                                  Wide &by_along, Wide &by_width) const {
        const Wide wall = where(mantle, by_height) * per_slant, face = where(~mantle, by_height) * per_upright;
        by_along += wall * cosine - face * sine;
        by_width += sense * wall;
        sums.row[1] += sense * face;
        sums.row[2] += wall * point.near_along - (cosine >= 1e-6f ? 1.0f : 0.0f) * face * height;
        sums.row[3] -= face * point.near_along + (sine >= 1e-6f ? 1.0f : 0.0f) * wall * height;
    }

    // The gradients of the distance to the sides and of the normal there.
    EXITWAVE_METHOD void back_sides(const Point &point, Wide by_distance, Wide by_normal_l, Wide by_normal_m,
                                    Sums &sums, Wide &by_long, Wide &by_across, Wide &by_flat) const {
        using exitwave::EXITWAVE_LEVEL::back;
        const Wide steep_l = point.level_l * per_flat, level = point.level.value, inverse = point.steep.inverse;
        const Wide by_inverse =
            by_distance * (1.0f - level) * level * radius + by_normal_l * steep_l + by_normal_m * point.level_m;
        const Wide by_steep = 2.0f * back(point.steep, -by_inverse * inverse * inverse);
        const Wide by_level = 2.0f * back(point.level, by_distance * (1.0f - 2.0f * level) * radius * inverse);
        const Wide by_steep_l = by_normal_l * inverse + by_steep * steep_l;
        const Wide by_l = by_steep_l * per_flat + by_level * point.level_l;
        const Wide by_m = by_normal_m * inverse + (by_steep + by_level) * point.level_m;
        const Wide by_beyond = where(point.beyond >= 0.0f, by_l) * (per_flat * per_radius);
        by_long += by_beyond;
        by_across += by_m * per_radius;
        by_flat -= (by_steep_l * steep_l + by_l * point.level_l) * per_flat;
        sums.row[0] +=
            by_distance * (1.0f - level) * level * inverse - (by_m * point.level_m + by_l * point.level_l) * per_radius;
        sums.row[1] -= by_beyond * sine;
        sums.row[3] -= by_beyond * half;
    }

    // The gradients of the distance to the elliptic ends and of the normal there.
    EXITWAVE_METHOD void back_ends(const Point &point, Wide by_distance, Wide by_normal_l, Wide by_normal_m, Sums &sums,
                                   Wide &by_long, Wide &by_across) const {
        using exitwave::EXITWAVE_LEVEL::back;
        const Wide width = point.width.value, inverse = point.incline.inverse, across = point.across;
        const Wide by_gap = by_distance * width * inverse;
        const Wide by_inverse = by_distance * point.gap * width + by_normal_l * width + by_normal_m * cosine * across;
        const Wide by_slope = 2.0f * back(point.incline, -by_inverse * inverse * inverse);
        const Wide by_width =
            by_distance * point.gap * inverse + by_normal_l * inverse + by_gap * cosine + by_slope * width;
        const Wide by_square = back(point.width, by_width);
        by_long -= by_gap;
        by_across += by_normal_m * cosine * inverse + by_slope * cosine * cosine * across - 2.0f * by_square * across;
        sums.row[0] += 2.0f * by_square * radius;
        sums.row[1] += by_gap * sine;
        sums.row[2] += by_normal_m * across * inverse + by_gap * width + by_slope * cosine * across * across;
        sums.row[3] += by_gap * half;
    }

    EXITWAVE_METHOD void back(const Point &point, Wide y, Wide x, Wide by_entry, Wide by_leave, Wide by_hit, Slope by_slope,
                              Sums &sums, Wide &by_y, Wide &by_x) const {
        using exitwave::EXITWAVE_LEVEL::back;
        Wide by_along{}, by_width{}, by_long{}, by_flat{};
        back_end(point, point.mantle_leaves, by_leave, point.leave, 1.0f, sums, by_along, by_width);
        back_end(point, point.mantle_enters, by_entry, point.entry, -1.0f, sums, by_along, by_width);
        Wide by_across{}, by_radicand{};
        if constexpr (asked == Asked::surface) {
            back_slope(point, by_slope, sums, by_across, by_radicand);
        }
        by_radicand += back(point.near_width, by_width);
        by_across -= 2.0f * by_radicand * point.near_across;
        sums.row[0] += 2.0f * by_radicand * radius;
        const Wide by_shift = -(by_along * point.normal_l + by_across * point.normal_m);
        sums.norm += by_shift * point.rim.inward;
        const Wide by_distance = point.rim.back(by_hit, by_shift * norm, per_cell);
        const Wide shift = point.rim.inward * norm;
        const Wide by_normal_l = -turned(shift * by_along, point.along), by_normal_m = -shift * by_across;
        back_sides(point, where(point.side, by_distance), where(point.side, by_normal_l),
                   where(point.side, by_normal_m), sums, by_long, by_across, by_flat);
        back_ends(point, where(~point.side, by_distance), where(~point.side, by_normal_l),
                  where(~point.side, by_normal_m), sums, by_long, by_across);
        by_along += turned(by_long, point.along);
        sums.row[2] += (cosine >= 1e-4f ? 1.0f : 0.0f) * by_flat;
        sums.row[4] += by_along * y - by_across * x;
        sums.row[5] += by_along * x + by_across * y;
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
