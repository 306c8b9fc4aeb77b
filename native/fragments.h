// What fragments.cpp offers at every SIMD level.
#pragma once

#include "splat.h"

namespace exitwave {

// One entry a fragment; `slope_y` and `slope_x` are the derivatives of `top`.
struct FragmentArrays {
    int64_t *sample;
    float *top, *bottom, *slope_y, *slope_x, *share;
};

// The fragments of all particles, and what pulls at them.
struct FragmentPull {
    const int64_t *sample;
    const float *top, *bottom, *slope_y, *slope_x, *share;
};

struct FragmentKernels {
    // Floats that one worker needs to itself.
    long (*scratch)(const Splat &);
    // Writes the first row and the row past the last of every particle from `begin` to `end`, clipped to the canvas,
    // and how many samples it may have a fragment at.
    void (*extent)(const Splat &, int32_t begin, int32_t end, int32_t *rows, int64_t *samples, float *scratch);
    // Writes the fragments of one particle, whose rows these are; chords shorter than `touch` are none. Returns how many there are.
    int64_t (*find)(const Splat &, int32_t particle, const int32_t *rows, float touch, const FragmentArrays &to,
                    float *scratch);
    // Writes the gradients of one particle, given those by its fragments, `begin` to `end`.
    void (*adjoint)(const Splat &, int32_t particle, int64_t begin, int64_t end, const FragmentPull &pull,
                    const SplatGradient &gradient, float *scratch);
};

} // namespace exitwave

EXITWAVE_DECLARE(FragmentKernels, fragments)
