// Cosine and sine of whole and broken turns.
#pragma once

#include "lanes.h"

namespace exitwave::EXITWAVE_LEVEL {

struct Phase {
    Lanes cosine, sine;
};

// cos and sin of 2 pi cycles to 1.5e-7. Whole cycles and then quarter turns are taken off exactly.
EXITWAVE_INLINE Phase turn(Lanes cycles) {
    // Adding and taking away 2^23 rounds to whole numbers; beyond it every number is whole.
    const Lanes coarse = turned(all(8388608.0f), cycles);
    const Lanes whole = (cycles + coarse) - coarse;
    const Lanes rest = cycles - select(magnitude(cycles) < 8388608.0f, whole, cycles);
    // The last bits of what 1.5 x 2^23 leaves count the quarters.
    const Lanes shifted = 4.0f * rest + 12582912.0f;
    const Whole quarter = reinterpret_cast<Whole>(shifted);
    const Lanes part = 4.0f * rest - (shifted - 12582912.0f);
    const Lanes square = part * part;
    const Lanes sine =
        part * (1.57079632f + square * (-0.64596348f + square * (0.07968022f + square * -0.00460215f)));
    const Lanes cosine =
        1.0f +
        square * (-1.23370055f + square * (0.253669410f + square * (-0.0208615282f + square * 0.000906738568f)));
    const Whole odd = (quarter & 1) != 0;
    const Whole sine_sign = (quarter & 2) << 30, cosine_sign = ((quarter + 1) & 2) << 30;
    return {reinterpret_cast<Lanes>(reinterpret_cast<Whole>(select(odd, sine, cosine)) ^ cosine_sign),
            reinterpret_cast<Lanes>(reinterpret_cast<Whole>(select(odd, cosine, sine)) ^ sine_sign)};
}

} // namespace exitwave::EXITWAVE_LEVEL
