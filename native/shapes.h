// What bodies share that are drawn as vectors of samples: chord and edge as in specimen/, and their adjoints.
//
// A body is made from a row of coefficients. It offers
//   half_height()           how far its drawn samples reach along y;
//   span(y, low, high)      where they begin and end along x, on the lines at y;
//   fresh()                 sums of zero;
//   at(y, x)                a `Point`: the chord's ends and the part of the cell that is hit, with what `back` needs;
//   back(...)               adds the gradients by its row to `Sums` and returns those by y and x;
//   reduce(sums, row)       writes the gradient of the row.
// Asked for its surface, a body's point also has the slopes of its upper side there.
// Numbers that may be zero under a root get 1e-10 as in specimen/shapes.py, so that all derivatives are finite.
#pragma once

#include "wide.h"

namespace exitwave::EXITWAVE_LEVEL {

constexpr float TINY = 1e-10f;

// What a body's samples are: chords that add up to its volume, or the heights and slopes of its surface in the middle
// of what is covered of a cell.
enum class Asked { volume, surface };

// Derivatives of the height of an upper side along y and x, or gradients by them.
struct Slope {
    Wide y, x;
};

// A root and its inverse. `inside` tells where the radicand was not negative: only there it has a derivative.
struct Root {
    Wide value, inverse;
    Mask inside;
};

EXITWAVE_INLINE Root root(Wide square) {
    const Wide radicand = greater(square, Wide{}) + TINY;
    return {square_root(radicand), inverse_root(radicand), square >= 0.0f};
}

// The same of a sum of squares.
EXITWAVE_INLINE Root root_of_squares(Wide sum) {
    const Wide radicand = sum + TINY, inverse = inverse_root(radicand);
    return {radicand * inverse, inverse, all_mask(true)};
}

// The derivative of a root by its radicand, times `gradient`.
EXITWAVE_INLINE Wide back(const Root &root, Wide gradient) {
    return where(root.inside, 0.5f * gradient * root.inverse);
}

// The derivative of a root's inverse by its radicand, times `gradient`.
EXITWAVE_INLINE Wide back_inverse(const Root &root, Wide gradient) {
    return where(root.inside, -0.5f * gradient * root.inverse * root.inverse * root.inverse);
}

EXITWAVE_INLINE float scalar_root(float square) { return __builtin_sqrtf(square > 0.0f ? square : 0.0f); }

EXITWAVE_INLINE float at_least(float number, float low) { return number > low ? number : low; }

EXITWAVE_INLINE float absolute(float number) { return __builtin_fabsf(number); }

// How far an edge at some distance cuts into the cell, see `thickness` in specimen/shapes.py: `hit` is the part of the
// cell that lies inside, `inward` how far from the cell's centre the chord is taken.
template <bool rounded> struct Rim {
    Wide level, hit, inward, deep, share;
    float cell;

    Rim() = default;

    EXITWAVE_METHOD Rim(Wide distance, float cell, float per_cell) : cell(cell) {
        level = distance * per_cell + 0.5f;
        hit = clamp(level, Wide{}, all_wide(1.0f));
        inward = cell * (0.5f - 0.5f * hit);
        if (rounded) {
            // Far inside the node is the cell's centre: the upper limit only keeps the cube finite.
            deep = clamp(level, all_wide(1.0f), all_wide(1e6f));
            const Wide cube = deep * deep * deep;
            share = cube * inverse((48.0f * deep - 24.0f) * cube - 6.0f);
            inward -= cell * hit * share;
        }
    }

    // The gradient by the distance, given those by `hit` and `inward`.
    EXITWAVE_METHOD Wide back(Wide by_hit, Wide by_inward, float per_cell) const {
        const Wide by_node = cell * by_inward;
        by_hit -= 0.5f * by_node;
        if (!rounded) {
            return where((level >= 0.0f) & (level <= 1.0f), by_hit) * per_cell;
        }
        by_hit -= by_node * share;
        const Wide fourth = deep * deep * (deep * deep);
        const Wide by_deep = by_node * hit * (share * share) * (48.0f + 18.0f * inverse(fourth));
        const Wide partly = where((level >= 0.0f) & (level <= 1.0f), by_hit);
        return (partly + where(level >= 1.0f, by_deep)) * per_cell;
    }
};

// The rows of a stadium: an ellipse x = lean y +- sqrt(wide - narrow y^2) moved along (y, x) from -(ey, ex) to +(ey,
// ex). Its straight side touches the ellipse at (side_y, side_x), with side_x not negative.
struct Stadium {
    float ey, ex, side_y, lean, wide, narrow, per_ey, flip;

    EXITWAVE_METHOD Stadium(float ey, float ex, float side_y, float lean, float wide, float narrow)
        : ey(ey), ex(ex), side_y(side_y), lean(lean), wide(wide), narrow(narrow) {
        // Along x every line ends on one of the two end ellipses: the one at +x on the right.
        const bool level = absolute(ey) < 1e-6f * absolute(ex) + 1e-12f;
        per_ey = level ? 0.0f : 1.0f / ey;
        flip = level ? (ex < 0.0f ? -1.0f : 1.0f) : 0.0f;
    }

    EXITWAVE_METHOD Wide right(Wide y) const {
        // How far along the axis the line at y leaves the straight side; beyond its ends it leaves an end ellipse.
        const Wide along = clamp((y - side_y) * per_ey + flip, all_wide(-1.0f), all_wide(1.0f));
        const Wide rest = y - along * ey;
        return along * ex + lean * rest + square_root(greater(wide - narrow * rest * rest, Wide{}));
    }

    // The stadium is its own mirror image through the origin.
    EXITWAVE_METHOD void span(Wide y, Wide &low, Wide &high) const {
        high = right(y);
        low = -right(-y);
    }
};

// Widths beyond this stand for "no such line".
constexpr float NOWHERE = 5e5f;

// The part of the lines at y where |normal_y y + normal_x x| <= width. Where the strip runs along x it holds nothing
// back: how far the body reaches along y does.
EXITWAVE_INLINE void cut_by_strip(float normal_y, float normal_x, float width, Wide y, Wide &low, Wide &high) {
    if (absolute(normal_x) < 1e-6f || width > NOWHERE) {
        return;
    }
    const Wide middle = y * (-normal_y / normal_x), half = all_wide(width / absolute(normal_x));
    low = greater(middle - half, low);
    high = lesser(middle + half, high);
}

} // namespace exitwave::EXITWAVE_LEVEL
