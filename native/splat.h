// What splat.cpp offers at every SIMD level.
#pragma once

#include "levels.h"

#include <stdint.h>

namespace exitwave {

// The bodies that have kernels, in the order that Python names them by.
enum class Body : int { sphere, ellipsoid, rod, box, disk, crystal };

// One call's particles and canvas. All arrays are dense; lengths are in micrometres, positions in samples.
struct Splat {
    Body body;
    int32_t count;    // particles
    int32_t columns;  // of `rows`
    int32_t channels; // of `weights`
    int32_t planes;   // of the maps; 1 and thin, or as many as slabs
    bool thin;        // no slabs: chords count whole, wherever they lie
    bool add;         // to what the maps hold; otherwise they are overwritten
    int32_t height, width;
    float dy, dx, cell;
    float first, step; // planes lie at first + k step
    const float *rows, *scale, *position, *altitude, *weights;
};

// Gradients by the inputs of the same names.
struct SplatGradient {
    float *rows, *scale, *position, *altitude, *weights;
};

struct SplatKernels {
    // Floats that one worker needs to itself.
    long (*scratch)(const Splat &);
    // Writes the first row and the row past the last of every particle from `begin` to `end`, clipped to the canvas.
    void (*extent)(const Splat &, int32_t begin, int32_t end, int32_t *rows, float *scratch);
    // Sums particles, whose own rows are those of `extent`, into the rows from `top` to `bottom` of maps (planes,
    // channels, height, width).
    void (*forward)(const Splat &, const int32_t *members, int32_t count, const int32_t *rows, int32_t top,
                    int32_t bottom, float *maps, float *scratch);
    // Writes the gradients of particles, given that by the maps.
    void (*adjoint)(const Splat &, const int32_t *members, int32_t count, const int32_t *rows, const float *maps,
                    const SplatGradient &gradient, float *scratch);
};

} // namespace exitwave

EXITWAVE_DECLARE(SplatKernels, splat)
