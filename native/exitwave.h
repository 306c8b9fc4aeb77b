// What exitwave.cpp offers at every SIMD level.
#pragma once

#include "levels.h"

namespace exitwave {

// One plane (height, width) of optical paths in wavelengths; `absorbance` may be null.
struct WavePlane {
    const float *cycles;
    const float *absorbance;
    long height, width;
};

// Floats of scratch memory that `adjoint` needs for planes of this width.
constexpr long wave_scratch(long width) { return 5 * (width + 2); }

// Both work on the rows from `first` to before `last`.
struct ExitWaveKernels {
    void (*forward)(const WavePlane &plane, float *real, float *imaginary, long first, long last);
    // From the gradients with respect to both parts of the wave to those with respect to the path and, where
    // `to_absorbance` is not null, to the absorbance.
    void (*adjoint)(const WavePlane &plane, const float *from_real, const float *from_imaginary, float *to_cycles,
                    float *to_absorbance, float *scratch, long first, long last);
};

} // namespace exitwave

EXITWAVE_DECLARE(ExitWaveKernels, exit_wave)
