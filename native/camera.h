// What camera.cpp offers at every SIMD level.
#pragma once

#include "levels.h"

namespace exitwave {

// How many electrons a pixel holds at irradiance 1: bright (1 - vignette (y^2 + x^2) / 2). `down` (rows) and `across`
// (width) are y^2 and x^2 from the image's middle, 1 on its edges.
struct Shade {
    const float *down, *across;
    float bright, vignette;
};

// Numbers of a block's pixels: rows of them, `stride` apart, zero where all rows are the same.
struct Numbers {
    const float *first;
    long stride;
};

struct Converter {
    Numbers gain, offset, read_noise;
    float full, white; // electrons, counts
};

// Both work on dense blocks (rows, width).
struct CameraKernels {
    // From irradiances and numbers of a normal distribution in `drawn` to numbers of electrons there. Returns whether
    // any are expected below `few`, where the expansion does not hold.
    bool (*shot)(const Shade &, const float *image, float few, float *drawn, long rows, long width);
    // From numbers of electrons, and numbers of a normal distribution for the noise of reading, to counts.
    void (*convert)(const Converter &, const float *electrons, const float *noise, float *counts, long rows, long width);
};

} // namespace exitwave

EXITWAVE_DECLARE(CameraKernels, camera)
