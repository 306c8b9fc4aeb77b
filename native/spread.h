// What spread.cpp offers at every SIMD level; `raster/spread.py` has the meaning and the same in plain torch.
#pragma once

#include "levels.h"

#include <stdint.h>

namespace exitwave {

constexpr int WIDEST = 16; // samples of a stencil along every axis, at most
constexpr int TERMS = 24;  // coefficients of its polynomials, at most

// A periodic grid (z, y, x), and where its sample 0 lies. Positions become samples by (position - origin) * scale.
struct SpreadGrid {
    long shape[3];
    double origin[3], scale[3];
};

// Sample j of a stencil has the value sum_p coefficients[p * width + j] z^p, where z runs from -1 to 1 as the stencil's
// first sample moves from width / 2 before the point to one sample less.
struct Stencil {
    const double *coefficients;
    int terms, width;
};

// Points whose light is spread: positions (Q, 3) and C weights each (Q, C).
template <class T> struct Spots {
    const T *position, *weights;
    long channels;
};

// Those of `order` from `first` up to `last` are worked on. Grids are C of them, one after the other.
template <class T> struct SpreadFaces {
    void (*add)(const SpreadGrid &, const Stencil &, const Spots<T> &, const int32_t *order, long first, long last,
                T *grids);
    // The derivative of `add` where positions and weights change by those of `change`.
    void (*add_change)(const SpreadGrid &, const Stencil &, const Spots<T> &, const Spots<T> &change,
                       const int32_t *order, long first, long last, T *grids);
    // The adjoint of both: the derivatives of sum of grids times `add` by positions and weights.
    void (*gather)(const SpreadGrid &, const Stencil &, const Spots<T> &, const int32_t *order, long first, long last,
                   const T *grids, T *by_position, T *by_weights);
};

struct SpreadKernels {
    SpreadFaces<float> single;
    SpreadFaces<double> twofold;
};

} // namespace exitwave

EXITWAVE_DECLARE(SpreadKernels, spread)
