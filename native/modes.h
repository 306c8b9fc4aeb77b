// What modes.cpp offers at every SIMD level.
#pragma once

#include "pupil.h"

namespace exitwave {

// A source's points: their frequencies `tilt` (count, 2), their amplitudes and, where they are to be mixed to a few
// kernels, the complex numbers that mix them, (kernels, count). Without these every point is a kernel.
struct Points {
    const double *tilt;
    const float *amplitude;
    long count;
    const float *mixing;
    long kernels;
};

// Rows that are built at a time, and the numbers of memory that this takes with mixing.
constexpr long MODES_ROWS = 4;
constexpr long modes_scratch(long kernels) { return MODES_ROWS * 64 * (2 * kernels + 1); }

struct ModesKernels {
    // Writes MODES_ROWS rows from `first` on of every kernel into field (kernels, rows, columns), complex numbers.
    // Returns by how much the kernels' light differs from the points' at most, at any frequency.
    float (*build)(const Pupil &, const Frequencies &, const Points &, long first, float *sums, float *field);
};

} // namespace exitwave

EXITWAVE_DECLARE(ModesKernels, modes)
