// What rounds.cpp offers at every SIMD level; `specimen/rounds.py` has the meaning and the same in plain torch.
#pragma once

#include "levels.h"

#include <stdint.h>

namespace exitwave {

// Bodies by their rows (bodies, columns), and the places (bodies, places) of lines along z.
template <class T> struct Rounds {
    long bodies, edges, faces, places;
    const T *rows, *y, *x;

    long columns() const { return 10 * edges + 4 * faces + 1; }
};

// What each line strikes first from above and from below: (2, bodies, places) each.
struct Struck {
    int64_t *edge, *face;
    bool *met, *flat;
};

// The edge that is nearest to each place, the line farthest behind it, and whether it lies outside of that line.
struct Nearest {
    int64_t *edge, *line;
    bool *outside;
};

// For the bodies from `first` up to `last`.
template <class T> struct RoundsFaces {
    void (*strike)(const Rounds<T> &, long first, long last, const Struck &);
    void (*nearest)(const Rounds<T> &, long first, long last, const Nearest &);
};

struct RoundsKernels {
    RoundsFaces<float> single;
    RoundsFaces<double> twofold;
};

} // namespace exitwave

EXITWAVE_DECLARE(RoundsKernels, rounds)
