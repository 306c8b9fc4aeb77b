// Convex outlines in double precision: polygons, and ellipses drawn out along a segment. Where an outline begins and
// ends in a row follows in closed form, for WIDE rows at a time.
#pragma once

#include "lanes.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

constexpr int WIDE = LANES / 2;
typedef double Wide __attribute__((vector_size(8 * WIDE)));

// Half a side, in micrometres, of the square that outlines are cut out of.
constexpr double FAR = 4e6;

EXITWAVE_INLINE Wide wide(double number) { return number - Wide{}; }

EXITWAVE_INLINE Wide smaller(Wide a, Wide b) { return a < b ? a : b; }

EXITWAVE_INLINE Wide larger(Wide a, Wide b) { return a > b ? a : b; }

EXITWAVE_INLINE double smaller(double a, double b) { return a < b ? a : b; }

EXITWAVE_INLINE double larger(double a, double b) { return a > b ? a : b; }

EXITWAVE_INLINE Wide wide_root(Wide square) {
#if defined(__AVX512F__)
    return reinterpret_cast<Wide>(_mm512_sqrt_pd(reinterpret_cast<__m512d>(square)));
#elif defined(__AVX__)
    return reinterpret_cast<Wide>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(square)));
#elif defined(__SSE2__)
    return reinterpret_cast<Wide>(_mm_sqrt_pd(reinterpret_cast<__m128d>(square)));
#else
    for (int lane = 0; lane < WIDE; ++lane) {
        square[lane] = __builtin_sqrt(square[lane]);
    }
    return square;
#endif
}

EXITWAVE_INLINE Wide count_wide() {
    Wide lanes;
    for (int lane = 0; lane < WIDE; ++lane) {
        lanes[lane] = lane;
    }
    return lanes;
}

// Where an outline begins and ends along x on lines at y; how far it reaches along y.
struct Range {
    double low, high;
};

struct Ends {
    Wide left, right;
};

// An ellipse with the matrix (yy, yx, xx) drawn out by +-half along (along_y, along_x).
struct Oval {
    double yy, shear, tall, slope, half, along_y, along_x, turning;

    // The ellipse's semi-axes become `touch` longer.
    EXITWAVE_INLINE Oval make(double yy, double yx, double xx, double touch, double half, double along_y,
                              double along_x) {
        // The square root of a matrix: (P + sqrt(det P) 1) / sqrt(tr P + 2 sqrt(det P)).
        const double product = __builtin_sqrt(larger(yy * xx - yx * yx, 0.0));
        const double sum = __builtin_sqrt(yy + xx + 2.0 * product);
        const double share = 2.0 * touch / sum;
        const double wider_yy = yy + share * (yy + product) + touch * touch;
        const double wider_yx = yx + share * yx;
        const double wider_xx = xx + share * (xx + product) + touch * touch;
        Oval oval;
        oval.yy = wider_yy;
        oval.shear = wider_yx / wider_yy;
        oval.tall = __builtin_sqrt(wider_yy);
        oval.slope = __builtin_sqrt(larger(wider_yy * wider_xx - wider_yx * wider_yx, 0.0)) / wider_yy;
        oval.half = half;
        // Counted downwards along y, so that the right end belongs to the same end of the segment in every row.
        const double sign = along_y < 0.0 ? -1.0 : 1.0;
        oval.along_y = larger(sign * along_y, 1e-30);
        oval.along_x = sign * along_x;
        // The height in the ellipse at which its right rim runs along the segment.
        const double rise = oval.shear * oval.along_y - oval.along_x, run = oval.slope * oval.along_y;
        oval.turning = oval.tall * rise / __builtin_sqrt(rise * rise + run * run);
        return oval;
    }

    EXITWAVE_INLINE Range range(const Oval &oval) {
        const double high = oval.tall + oval.half * oval.along_y;
        return {-high, high};
    }

    // The right rim is that of the ellipse about the point of the segment from which it lies farthest to the right.
    EXITWAVE_INLINE Wide right(const Oval &oval, Wide y) {
        const Wide shift =
            smaller(larger((y - oval.turning) / oval.along_y, wide(-oval.half)), wide(oval.half));
        const Wide inner = y - shift * oval.along_y;
        return oval.shear * inner + oval.slope * wide_root(larger(oval.yy - inner * inner, Wide{})) +
               shift * oval.along_x;
    }

    EXITWAVE_INLINE Ends ends(const Oval &oval, Wide y) { return {-right(oval, -y), right(oval, y)}; }
};

// A convex polygon: the part of the plane where normal_y y + normal_x x <= width for all of its lines.
struct Polygon {
    double *normal_y, *normal_x, *width;
    double *corners, *others;
    int room, count; // for corners, and of lines

    EXITWAVE_INLINE Polygon in(double *scratch, long columns) {
        double *const corners = scratch + 3 * columns;
        const int room = static_cast<int>(columns) + 8;
        return {scratch, scratch + columns, scratch + 2 * columns, corners, corners + 2 * room, room, 0};
    }

    EXITWAVE_INLINE void add(Polygon &polygon, double normal_y, double normal_x, double width) {
        polygon.normal_y[polygon.count] = normal_y;
        polygon.normal_x[polygon.count] = normal_x;
        polygon.width[polygon.count++] = width;
    }

    // Cuts a square by one line after the other.
    static Range range(const Polygon &polygon) {
        double *corners = polygon.corners, *others = polygon.others;
        const double square[] = {-FAR, -FAR, -FAR, FAR, FAR, FAR, FAR, -FAR};
        int count = 4;
        for (int number = 0; number < 8; ++number) {
            corners[number] = square[number];
        }
        for (int line = 0; line < polygon.count; ++line) {
            count = cut(corners, count, polygon.normal_y[line], polygon.normal_x[line], polygon.width[line], others,
                        polygon.room);
            double *const swapped = corners;
            corners = others;
            others = swapped;
        }
        Range range = {1.0, -1.0};
        for (int corner = 0; corner < count; ++corner) {
            const double y = corners[2 * corner];
            range.low = corner == 0 || y < range.low ? y : range.low;
            range.high = corner == 0 || y > range.high ? y : range.high;
        }
        return range;
    }

    // A convex polygon gains one corner at most; `room` holds whatever rounding may make of it.
    static int cut(const double *corners, int count, double normal_y, double normal_x, double width, double *kept,
                   int room) {
        int found = 0;
        for (int corner = 0; corner < count && found + 2 <= room; ++corner) {
            const double *here = corners + 2 * corner, *next = corners + 2 * (corner + 1 < count ? corner + 1 : 0);
            const double inside = width - normal_y * here[0] - normal_x * here[1];
            const double after = width - normal_y * next[0] - normal_x * next[1];
            if (inside >= 0.0) {
                kept[2 * found] = here[0];
                kept[2 * found++ + 1] = here[1];
            }
            if ((inside >= 0.0) != (after >= 0.0)) {
                const double share = inside / (inside - after);
                kept[2 * found] = here[0] + share * (next[0] - here[0]);
                kept[2 * found++ + 1] = here[1] + share * (next[1] - here[1]);
            }
        }
        return found;
    }

    EXITWAVE_INLINE Ends ends(const Polygon &polygon, Wide y) {
        Wide left = wide(-FAR), right = wide(FAR);
        for (int line = 0; line < polygon.count; ++line) {
            const double normal = polygon.normal_x[line], inverse = 1.0 / normal;
            const Wide x = (polygon.width[line] - polygon.normal_y[line] * y) * inverse;
            // Lines along x bound the rows, in `range`.
            if (normal > 1e-12) {
                right = smaller(x, right);
            } else if (normal < -1e-12) {
                left = larger(x, left);
            }
        }
        return {left, right};
    }
};

} // namespace

} // namespace exitwave::EXITWAVE_LEVEL
