// What silhouette.cpp offers at every SIMD level.
#pragma once

#include "splat.h"

namespace exitwave {

// One call's bodies and image. All arrays are dense; lengths are in micrometres, positions in pixels.
struct Silhouettes {
    Body body;
    int32_t columns; // of `rows`
    int32_t height, width;
    double dy, dx;
    double touch; // centres of pixels this far outside the outline are inside
    const double *rows, *position, *altitude;
};

// Rows of pixels that a body covers: from `top` to before `bottom`, in the image or not.
struct Extent {
    int64_t top, bottom;
};

// The first and the last column that a body covers in one row of the image; none where last < first.
struct Span {
    int32_t first, last;
};

// Pixels that a body covers.
struct Count {
    int64_t all, inside;
};

// Doubles of scratch memory that one worker needs to itself.
constexpr long silhouette_scratch(long columns) { return 8 * columns + 64; }

struct SilhouetteKernels {
    Extent (*extent)(const Silhouettes &, long member, double *scratch);
    // Writes the spans of the rows in the image and counts pixels in all rows.
    Count (*trace)(const Silhouettes &, long member, const Extent &, Span *spans, double *scratch);
    // Draws the rows from `top` to before `bottom`, in the image, where the body is in front; `spans` starts at `top`.
    void (*draw)(const Silhouettes &, long member, int32_t id, int32_t top, int32_t bottom, const Span *spans,
                 float *depth, int32_t *ids, double *scratch);
};

} // namespace exitwave

EXITWAVE_DECLARE(SilhouetteKernels, silhouette)
