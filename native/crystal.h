// Convex polyhedra with any number of faces, as vectors of samples; see shapes.h for what a body offers.
#pragma once

#include "shapes.h"

namespace exitwave::EXITWAVE_LEVEL {

// Upper faces, lower faces and the lines of the silhouette are copied into lists of their own: a face bounds the chord
// from one side only, and most lines are spare.
template <Asked asked = Asked::volume> struct Crystal {
    // Numbers per entry of a list: coefficients of y and x, constant, and its place in the row.
    static constexpr int ENTRY = 4;
    float *uppers, *lowers, *lines;
    int faces, upper, lower, bounds;
    float cell, per_cell;
    // Per entry of the lists, in their order: the gradients by its three coefficients.
    struct Sums {
        float *lists;
    };
    struct Point {
        Wide entry, leave, hit;
        Slope slope;
        Wide near_y, near_x, outward_y, outward_x;
        // The active entry of each list.
        Wide leaves, enters, nearest;
        Rim<false> rim;
    };

    // Floats in `scratch`: the lists, and the sums.
    static EXITWAVE_METHOD long scratch(int columns) {
        return static_cast<long>(columns / 8) * 2 * (ENTRY + 3 * WIDTH);
    }

    EXITWAVE_METHOD Crystal(const float *row, int columns, float cell, float *scratch)
        : uppers(scratch), faces(columns / 8), upper(0), lower(0), bounds(0), cell(cell), per_cell(1.0f / cell) {
        for (int face = 0; face < faces; ++face) {
            upper += row[face + 3 * faces] < 1.0f;
            lower += row[face + 4 * faces] < 1.0f;
            bounds += row[face + 7 * faces] < NOWHERE;
        }
        lowers = uppers + ENTRY * upper;
        lines = lowers + ENTRY * lower;
        float *above = uppers, *below = lowers, *line = lines;
        for (int face = 0; face < faces; ++face) {
            if (row[face + 3 * faces] < 1.0f) {
                above = enter(above, row, face);
            }
            if (row[face + 4 * faces] < 1.0f) {
                below = enter(below, row, face);
            }
            if (row[face + 7 * faces] < NOWHERE) {
                line = enter(line, row, face + 5 * faces);
            }
        }
    }

    EXITWAVE_METHOD float *enter(float *entry, const float *row, int place) const {
        entry[0] = row[place];
        entry[1] = row[place + faces];
        entry[2] = row[place + 2 * faces];
        entry[3] = static_cast<float>(place);
        return entry + ENTRY;
    }

    EXITWAVE_METHOD int entries() const { return upper + lower + bounds; }

    EXITWAVE_METHOD Sums fresh() const {
        float *lists = uppers + ENTRY * entries();
        for (int slot = 0; slot < 3 * entries(); ++slot) {
            store(lists + slot * WIDTH, Wide{});
        }
        return {lists};
    }

    EXITWAVE_METHOD float half_height() const {
        // Eliminating x from two lines that face away from each other bounds y, upwards or downwards.
        float up = 1.0f / 0.0f, down = up;
        for (int one = 0; one < bounds; ++one) {
            const float *a = lines + ENTRY * one;
            if (absolute(a[1]) < 1e-6f) {
                up = a[0] > 0.0f && a[2] < up * a[0] ? a[2] / a[0] : up;
                down = a[0] < 0.0f && a[2] < -down * a[0] ? -a[2] / a[0] : down;
            }
            for (int other = 0; other < one; ++other) {
                const float *b = lines + ENTRY * other;
                if (a[1] * b[1] >= 0.0f) {
                    continue;
                }
                const float across = a[0] * absolute(b[1]) + b[0] * absolute(a[1]);
                const float bound = a[2] * absolute(b[1]) + b[2] * absolute(a[1]);
                up = across > 1e-7f && bound < up * across ? bound / across : up;
                down = across < -1e-7f && bound < -down * across ? -bound / across : down;
            }
        }
        return (up > down ? up : down) + 0.5f * cell;
    }

    EXITWAVE_METHOD void span(Wide y, Wide &low, Wide &high) const {
        low = all_wide(-1.0f / 0.0f);
        high = all_wide(1.0f / 0.0f);
        for (int number = 0; number < bounds; ++number) {
            const float *line = lines + ENTRY * number;
            if (absolute(line[1]) >= 1e-6f) {
                const float per = 1.0f / line[1];
                const Wide limit = (line[2] + 0.5f * cell) * per - (line[0] * per) * y;
                high = line[1] > 0.0f ? lesser(limit, high) : high;
                low = line[1] < 0.0f ? greater(limit, low) : low;
            }
        }
    }

    // The least of constant - a y - b x over a list, and its place in the list where somebody wants to know it.
    template <bool tracked>
    static EXITWAVE_METHOD Wide least(const float *list, int count, Wide y, Wide x, Wide &place) {
        Wide found = all_wide(2e6f);
        for (int number = 0; number < count; ++number, list += ENTRY) {
            const Wide value = list[2] - list[0] * y - list[1] * x;
            if (tracked) {
                place = select(value < found, all_wide(static_cast<float>(number)), place);
            }
            found = lesser(value, found);
        }
        return found;
    }

    template <bool tracked> EXITWAVE_METHOD Point at(Wide y, Wide x) const {
        Point point{};
        Wide distance = all_wide(2e6f);
        const float *line = lines;
        for (int number = 0; number < bounds; ++number, line += ENTRY) {
            const Wide value = line[2] - line[0] * y - line[1] * x;
            const Mask nearer = value < distance;
            distance = lesser(value, distance);
            point.outward_y = select(nearer, all_wide(line[0]), point.outward_y);
            point.outward_x = select(nearer, all_wide(line[1]), point.outward_x);
            if (tracked) {
                point.nearest = select(nearer, all_wide(static_cast<float>(number)), point.nearest);
            }
        }
        point.rim = Rim<false>(distance, cell, per_cell);
        point.hit = point.rim.hit;
        point.near_y = y - point.rim.inward * point.outward_y;
        point.near_x = x - point.rim.inward * point.outward_x;
        point.leave = least<tracked>(uppers, upper, point.near_y, point.near_x, point.leaves);
        point.entry = -least<tracked>(lowers, lower, point.near_y, point.near_x, point.enters);
        if constexpr (asked == Asked::surface) {
            const float *face = uppers;
            Wide found = all_wide(2e6f);
            for (int number = 0; number < upper; ++number, face += ENTRY) {
                const Wide value = face[2] - face[0] * point.near_y - face[1] * point.near_x;
                point.slope.y = select(value < found, all_wide(-face[0]), point.slope.y);
                point.slope.x = select(value < found, all_wide(-face[1]), point.slope.x);
                found = lesser(value, found);
            }
        }
        return point;
    }

    // Adds to the sums of the entries of one list; returns by y and x. Most lanes share a few active entries.
    static EXITWAVE_METHOD void spread(const float *list, int count, float *sums, Wide active, Wide gradient, Wide y,
                                       Wide x, Wide &by_y, Wide &by_x) {
        for (int number = 0; number < count; ++number, list += ENTRY, sums += 3 * WIDTH) {
            const Mask mine = active == static_cast<float>(number);
            if (any(mine)) {
                const Wide part = where(mine, gradient);
                store(sums, load_wide(sums) - part * y);
                store(sums + WIDTH, load_wide(sums + WIDTH) - part * x);
                store(sums + 2 * WIDTH, load_wide(sums + 2 * WIDTH) + part);
                by_y -= part * list[0];
                by_x -= part * list[1];
            }
        }
    }

    EXITWAVE_METHOD void back(const Point &point, Wide y, Wide x, Wide by_entry, Wide by_leave, Wide by_hit, Slope by_slope,
                              Sums &sums, Wide &by_y, Wide &by_x) const {
        float *upper_sums = sums.lists, *lower_sums = upper_sums + 3 * WIDTH * upper;
        float *line_sums = lower_sums + 3 * WIDTH * lower;
        Wide by_near_y{}, by_near_x{};
        if constexpr (asked == Asked::surface) {
            for (int number = 0; number < upper; ++number) {
                const Mask mine = point.leaves == static_cast<float>(number);
                float *to = upper_sums + 3 * WIDTH * number;
                store(to, load_wide(to) - where(mine, by_slope.y));
                store(to + WIDTH, load_wide(to + WIDTH) - where(mine, by_slope.x));
            }
        }
        spread(uppers, upper, upper_sums, point.leaves, by_leave, point.near_y, point.near_x, by_near_y, by_near_x);
        spread(lowers, lower, lower_sums, point.enters, -by_entry, point.near_y, point.near_x, by_near_y, by_near_x);
        const Wide by_inward = -(by_near_y * point.outward_y + by_near_x * point.outward_x);
        const Wide by_distance = point.rim.back(by_hit, by_inward, per_cell);
        by_y = by_near_y;
        by_x = by_near_x;
        spread(lines, bounds, line_sums, point.nearest, by_distance, y, x, by_y, by_x);
        const Wide by_outward_y = -point.rim.inward * by_near_y, by_outward_x = -point.rim.inward * by_near_x;
        if (any((point.rim.inward > 0.0f))) {
            for (int number = 0; number < bounds; ++number, line_sums += 3 * WIDTH) {
                const Mask mine = point.nearest == static_cast<float>(number);
                store(line_sums, load_wide(line_sums) + where(mine, by_outward_y));
                store(line_sums + WIDTH, load_wide(line_sums + WIDTH) + where(mine, by_outward_x));
            }
        }
    }

    EXITWAVE_METHOD void reduce(const Sums &sums, float *row) const {
        for (int column = 0; column < 8 * faces; ++column) {
            row[column] = 0.0f;
        }
        for (int number = 0; number < entries(); ++number) {
            const int place = static_cast<int>(uppers[ENTRY * number + 3]);
            for (int part = 0; part < 3; ++part) {
                row[place + part * faces] += total(load_wide(sums.lists + (3 * number + part) * WIDTH));
            }
        }
    }
};

} // namespace exitwave::EXITWAVE_LEVEL
