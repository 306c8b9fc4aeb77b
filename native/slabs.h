// How heights are shared out among equidistant planes.
#pragma once

#include "splat.h"
#include "wide.h"

namespace exitwave::EXITWAVE_LEVEL {

// Planes that heights from `low` to `high` may fall on, and for one of them the integral of its hat function up to a
// height, in units of the step, with its derivative. The outer planes also take what lies beyond them.
struct Plane {
    int first, last;

    EXITWAVE_METHOD Plane(const Splat &splat, float low, float high) {
        const float top = static_cast<float>(splat.planes - 1), per_step = 1.0f / splat.step;
        const float from = (low - splat.first) * per_step, to = (high - splat.first) * per_step;
        first = from > 0.0f ? static_cast<int>(from < top ? from : top) : 0;
        last = to < top ? static_cast<int>(to > 0.0f ? to : 0.0f) + 1 : splat.planes - 1;
        last = last < splat.planes ? last : splat.planes - 1;
    }

    static EXITWAVE_METHOD Wide integral(const Splat &splat, int plane, Wide place) {
        const Wide from = plane == 0 ? place : greater(place, all_wide(-1.0f));
        const Wide near = plane == splat.planes - 1 ? from : lesser(from, all_wide(1.0f));
        return near - 0.5f * near * slope(splat, plane, near);
    }

    // |near|, or zero where the outer plane takes all: so that the integral is near - near slope / 2 + 1/2, less the
    // 1/2, which differences do not see.
    static EXITWAVE_METHOD Wide slope(const Splat &splat, int plane, Wide near) {
        Wide slope = magnitude(near);
        slope = plane == 0 ? where(near > 0.0f, slope) : slope;
        return plane == splat.planes - 1 ? where(near < 0.0f, slope) : slope;
    }

    static EXITWAVE_METHOD Wide hat(const Splat &splat, int plane, Wide place) {
        return greater(1.0f - slope(splat, plane, place), Wide{});
    }
};

EXITWAVE_INLINE Wide place_on(const Splat &splat, int plane, Wide height) {
    return (height - (splat.first + static_cast<float>(plane) * splat.step)) * (1.0f / splat.step);
}

} // namespace exitwave::EXITWAVE_LEVEL
