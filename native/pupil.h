// What pupil.cpp offers at every SIMD level.
#pragma once

#include "levels.h"

namespace exitwave {

// Frequencies fy (rows) and fx (columns) in 1/um, ascending.
struct Frequencies {
    const float *fy, *fx;
    long rows, columns;
};

// The pupil of an objective without aberrations or plate.
struct Pupil {
    double edge;   // na / wavelength, in 1/um
    double rim;    // how wide the soft rim is, in 1/um
    double ratio;  // wavelength / index of the medium, in um
    double height; // of the plane in focus above the wave's, in um
};

struct PupilKernels {
    // Writes pupil * spectrum for the columns from `first` to before `last`: column by column, `length` complex numbers
    // each, zeros after the last of its rows. Rows of the spectrum are `stride` floats apart.
    void (*times)(const Pupil &, const Frequencies &, const float *spectrum, long stride, float *field, long length,
                  long first, long last);
    // to[i][x] = from[x][i] for complex numbers, `height` by `width` of them: rows of `to` are `stride` numbers apart,
    // those of `from` `length`.
    void (*turn_over)(const float *from, long length, float *to, long stride, long height, long width);
    // total += weight * |field|^2 for `count` complex numbers.
    void (*add_square)(float *total, const float *field, float weight, long count);
};

} // namespace exitwave

EXITWAVE_DECLARE(PupilKernels, pupil)
