// The bodies of specimen/ in double precision, by their rows of coefficients: their outlines, and how high the light
// leaves them on the line at y. Unlike those of shapes.h they have no soft edge and no derivatives.
#pragma once

#include "outlines.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

// The roots of specimen/shapes.py have this added in double precision.
constexpr double TINY_SQUARE = 1e-14;

// `root` of specimen/shapes.py.
EXITWAVE_INLINE Wide soft_root(Wide square) { return wide_root(larger(square, Wide{}) + TINY_SQUARE); }

struct Sphere {
    typedef Oval Outline;
    double square;

    EXITWAVE_INLINE Sphere make(const double *row, long, double *) { return {row[0] * row[0]}; }

    EXITWAVE_INLINE Oval outline(const double *row, long, double touch, double *) {
        return Oval::make(row[0] * row[0], 0.0, row[0] * row[0], touch, 0.0, 0.0, 1.0);
    }

    EXITWAVE_INLINE Wide leave(const Sphere &body, double y, Wide x) {
        return soft_root(body.square - (y * y + x * x));
    }
};

struct Ellipsoid {
    typedef Oval Outline;
    const double *row;

    EXITWAVE_INLINE Ellipsoid make(const double *row, long, double *) { return {row}; }

    EXITWAVE_INLINE Oval outline(const double *row, long, double touch, double *) {
        const double determinant = row[0] * row[2] - row[1] * row[1];
        return Oval::make(row[2] / determinant, -row[1] / determinant, row[0] / determinant, touch, 0.0, 0.0, 1.0);
    }

    EXITWAVE_INLINE Wide leave(const Ellipsoid &body, double y, Wide x) {
        const double *row = body.row;
        const Wide slope_y = row[0] * y + row[1] * x, slope_x = row[1] * y + row[2] * x;
        return row[3] * y + row[4] * x + row[5] * soft_root(1.0 - (slope_y * y + slope_x * x));
    }
};

struct Rod {
    typedef Oval Outline;
    double square, straight, upright, lateral, along_y, along_x, inverse;

    EXITWAVE_INLINE Rod make(const double *row, long, double *) {
        return {row[0] * row[0], row[1], row[2], row[3], row[4], row[5], 1.0 / larger(row[3], 1e-6)};
    }

    EXITWAVE_INLINE Oval outline(const double *row, long, double touch, double *) {
        return Oval::make(row[0] * row[0], 0.0, row[0] * row[0], touch, row[1] * row[3], row[4], row[5]);
    }

    EXITWAVE_INLINE Wide leave(const Rod &body, double y, Wide x) {
        const Wide along = body.along_y * y + body.along_x * x, across = body.along_x * y - body.along_y * x;
        const Wide width = soft_root(body.square - across * across);
        const Wide last = smaller(larger((along + width * body.upright) * body.inverse, wide(-body.straight)),
                                  wide(body.straight));
        const Wide beyond = along - last * body.lateral;
        return last * body.upright + soft_root(width * width - beyond * beyond);
    }
};

struct Disk {
    typedef Oval Outline;
    double square, half, cosine, sine, along_y, along_x, slant, upright;

    EXITWAVE_INLINE Disk make(const double *row, long, double *) {
        return {row[0] * row[0],
                row[1],
                row[2],
                row[3],
                row[4],
                row[5],
                1.0 / larger(row[3], 1e-6),
                1.0 / larger(row[2], 1e-6)};
    }

    // The ellipse of the round faces, drawn out along the tilt.
    EXITWAVE_INLINE Oval outline(const double *row, long, double touch, double *) {
        const double radius = row[0], minor = radius * row[2], y = row[4], x = row[5];
        const double large = radius * radius, small = minor * minor;
        return Oval::make(small * y * y + large * x * x, (small - large) * y * x, small * x * x + large * y * y, touch,
                          row[1] * row[3], y, x);
    }

    EXITWAVE_INLINE Wide leave(const Disk &body, double y, Wide x) {
        const Wide along = body.along_y * y + body.along_x * x, across = body.along_x * y - body.along_y * x;
        const Wide width = soft_root(body.square - across * across);
        return smaller((body.cosine * along + width) * body.slant,
                       (body.half - body.sine * along) * body.upright);
    }
};

struct Box {
    typedef Polygon Outline;
    const double *row;

    EXITWAVE_INLINE Box make(const double *row, long, double *) { return {row}; }

    EXITWAVE_INLINE Polygon outline(const double *row, long columns, double touch, double *scratch) {
        Polygon polygon = Polygon::in(scratch, columns);
        for (int edge = 9; edge < 12; ++edge) {
            Polygon::add(polygon, row[edge], row[edge + 3], row[edge + 6] + touch);
            Polygon::add(polygon, -row[edge], -row[edge + 3], row[edge + 6] + touch);
        }
        return polygon;
    }

    EXITWAVE_INLINE Wide leave(const Box &body, double y, Wide x) {
        const double *row = body.row;
        Wide lowest = wide(FAR);
        for (int face = 0; face < 3; ++face) {
            lowest = smaller(row[face + 6] - (row[face] * y + row[face + 3] * x), lowest);
        }
        return lowest;
    }
};

struct Crystal {
    typedef Polygon Outline;
    const double *faces; // slopes along y and x, and reach, of those that point up
    int count;

    EXITWAVE_INLINE Crystal make(const double *row, long columns, double *scratch) {
        const long all = columns / 8;
        int count = 0;
        for (long face = 0; face < all; ++face) {
            // The faces that point down stand infinitely far away.
            if (row[face + 3 * all] == 0.0) {
                scratch[3 * count] = row[face];
                scratch[3 * count + 1] = row[face + all];
                scratch[3 * count++ + 2] = row[face + 2 * all];
            }
        }
        return {scratch, count};
    }

    EXITWAVE_INLINE Polygon outline(const double *row, long columns, double touch, double *scratch) {
        Polygon polygon = Polygon::in(scratch, columns);
        const long all = columns / 8;
        for (long line = 0; line < all; ++line) {
            Polygon::add(polygon, row[line + 5 * all], row[line + 6 * all], row[line + 7 * all] + touch);
        }
        return polygon;
    }

    EXITWAVE_INLINE Wide leave(const Crystal &body, double y, Wide x) {
        Wide lowest = wide(FAR);
        for (int face = 0; face < body.count; ++face) {
            const double *here = body.faces + 3 * face;
            lowest = smaller((here[2] - here[0] * y) - here[1] * x, lowest);
        }
        return lowest;
    }
};

} // namespace

} // namespace exitwave::EXITWAVE_LEVEL
