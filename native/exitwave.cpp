// The exit wave of a thin specimen; `interaction/exit_wave.py` has the meaning and the formulas in plain torch.
#include "exitwave.h"
#include "turn.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

// Slopes, in cycles per sample, from which and to which the grid's light is faded out.
constexpr float GENTLE = 0.4f;
constexpr float PER_STEP = 5.0f;

// exp(-absorbance / 2) to 1e-7 (1 + absorbance) of itself.
EXITWAVE_INLINE Lanes decay(Lanes absorbance) {
    const Lanes power = -0.72134752f * absorbance;
    // Kept to normal numbers; what is not a number stays so.
    const Lanes kept = greater(all(-126.0f), lesser(all(126.0f), power));
    const Lanes shifted = kept + 12582912.0f;
    const Lanes part = kept - (shifted - 12582912.0f);
    const Lanes fraction =
        1.0f +
        part * (0.693147188f +
                part * (0.240226511f +
                        part * (0.0555035706f +
                                part * (0.00961803069f + part * (0.00133908898f + part * 0.000154697614f)))));
    return reinterpret_cast<Lanes>(reinterpret_cast<Whole>(fraction) + (reinterpret_cast<Whole>(shifted) << 23));
}

// A block of samples: the paths there, and the differences between the samples below and above, right and left.
struct Block {
    Lanes cycles, down, across, absorbance;
};

struct Steepness {
    Lanes down, across, excess;
};

EXITWAVE_INLINE Steepness steepness(const Block &block) {
    const Lanes down = magnitude(0.5f * block.down), across = magnitude(0.5f * block.across);
    // What is not a number passes through both comparisons.
    const Lanes steepest = select(down == down, greater(down, across), down);
    return {down, across, greater(all(0.0f), lesser(all(1.0f), (steepest - GENTLE) * PER_STEP))};
}

EXITWAVE_INLINE Lanes resolved(Lanes excess) { return 1.0f - excess * excess * (3.0f - 2.0f * excess); }

// How the plane's rows lie about one of its rows. On the border there is no slope: both neighbours are the row itself.
struct Rows {
    const float *above, *here, *below, *absorbance;
    long width;

    Rows(const WavePlane &plane, long row)
        : here(plane.cycles + row * plane.width),
          absorbance(plane.absorbance ? plane.absorbance + row * plane.width : nullptr), width(plane.width) {
        const bool border = row == 0 || row == plane.height - 1;
        above = border ? here : here - plane.width;
        below = border ? here : here + plane.width;
    }
};

EXITWAVE_INLINE bool inner(long x, long width) { return x > 0 && x + LANES < width; }

EXITWAVE_INLINE Block inner_block(const Rows &rows, long x) {
    return {load(rows.here + x), load(rows.below + x) - load(rows.above + x),
            load(rows.here + x + 1) - load(rows.here + x - 1), rows.absorbance ? load(rows.absorbance + x) : Lanes{}};
}

// Up to LANES numbers from `from` on, then zeros.
EXITWAVE_INLINE Lanes some(const float *from, long count) {
    float lanes[LANES] = {};
    for (long lane = 0; lane < count; ++lane) {
        lanes[lane] = from[lane];
    }
    return load(lanes);
}

EXITWAVE_INLINE void put(float *to, Lanes lanes, long count) {
    float kept[LANES];
    store(kept, lanes);
    for (long lane = 0; lane < count; ++lane) {
        to[lane] = kept[lane];
    }
}

EXITWAVE_INLINE Block border_block(const Rows &rows, long x, long count) {
    float across[LANES] = {};
    for (long lane = 0; lane < count; ++lane) {
        const bool border = x + lane == 0 || x + lane == rows.width - 1;
        across[lane] = border ? 0.0f : rows.here[x + lane + 1] - rows.here[x + lane - 1];
    }
    return {some(rows.here + x, count), some(rows.below + x, count) - some(rows.above + x, count), load(across),
            rows.absorbance ? some(rows.absorbance + x, count) : Lanes{}};
}

template <bool ABSORBING> EXITWAVE_INLINE Phase wave(const Block &block) {
    Lanes amplitude = resolved(steepness(block).excess);
    if (ABSORBING) {
        amplitude *= decay(block.absorbance);
    }
    const Phase phase = turn(block.cycles);
    return {amplitude * phase.cosine, amplitude * phase.sine};
}

template <bool ABSORBING>
void forward_rows(const WavePlane &plane, float *real, float *imaginary, long first, long last) {
    for (long row = first; row < last; ++row) {
        const Rows rows(plane, row);
        float *to_real = real + row * plane.width, *to_imaginary = imaginary + row * plane.width;
        for (long x = 0; x < plane.width; x += LANES) {
            if (inner(x, plane.width)) {
                const Phase found = wave<ABSORBING>(inner_block(rows, x));
                store(to_real + x, found.cosine);
                store(to_imaginary + x, found.sine);
            } else {
                const long count = plane.width - x < LANES ? plane.width - x : LANES;
                const Phase found = wave<ABSORBING>(border_block(rows, x, count));
                put(to_real + x, found.cosine, count);
                put(to_imaginary + x, found.sine, count);
            }
        }
    }
}

void forward(const WavePlane &plane, float *real, float *imaginary, long first, long last) {
    if (plane.absorbance) {
        forward_rows<true>(plane, real, imaginary, first, last);
    } else {
        forward_rows<false>(plane, real, imaginary, first, last);
    }
}

// Gradients at a block of samples: those of its own path and absorbance, and those of the two differences.
struct Pull {
    Lanes cycles, absorbance, down, across;
    Whole steep;
};

template <bool ABSORBING> EXITWAVE_INLINE Pull pull(const Block &block, Lanes from_real, Lanes from_imaginary) {
    const Phase phase = turn(block.cycles);
    const Steepness slope = steepness(block);
    const Lanes along = from_real * phase.cosine + from_imaginary * phase.sine;
    const Lanes aside = from_imaginary * phase.cosine - from_real * phase.sine;
    const Lanes dark = ABSORBING ? decay(block.absorbance) : all(1.0f);
    const Lanes amplitude = dark * resolved(slope.excess);
    // d amplitude / d excess, times d excess / d slope = PER_STEP, times d slope / d difference = 1/2.
    const Lanes fade = slope.excess * (slope.excess - 1.0f) * (6.0f * PER_STEP * 0.5f) * dark * along;
    // The larger slope decides; equal ones share.
    const Lanes equal = where(slope.down == slope.across, all(0.5f));
    const Lanes share = select(slope.down > slope.across, all(1.0f), equal);
    return {6.28318531f * amplitude * aside, -0.5f * amplitude * along, turned(share * fade, block.down),
            turned((1.0f - share) * fade, block.across), (slope.excess > 0.0f) & (slope.excess < 1.0f)};
}

// The gradients of the differences in one row, with a zero at either end.
struct Slopes {
    float *down, *across;
    bool steep;
};

template <bool ABSORBING>
void pull_row(const Rows &rows, const float *from_real, const float *from_imaginary, float *to_cycles,
              float *to_absorbance, Slopes &slopes) {
    Whole steep = {};
    for (long x = 0; x < rows.width; x += LANES) {
        const long left = rows.width - x, count = left < LANES ? left : LANES;
        Pull found;
        if (inner(x, rows.width)) {
            found = pull<ABSORBING>(inner_block(rows, x), load(from_real + x), load(from_imaginary + x));
            store(slopes.down + x, found.down);
            store(slopes.across + x, found.across);
            if (to_cycles) {
                store(to_cycles + x, found.cycles);
            }
            if (to_absorbance) {
                store(to_absorbance + x, found.absorbance);
            }
        } else {
            found = pull<ABSORBING>(border_block(rows, x, count), some(from_real + x, count),
                                    some(from_imaginary + x, count));
            put(slopes.down + x, found.down, count);
            put(slopes.across + x, found.across, count);
            if (to_cycles) {
                put(to_cycles + x, found.cycles, count);
            }
            if (to_absorbance) {
                put(to_absorbance + x, found.absorbance, count);
            }
        }
        steep |= found.steep;
    }
    slopes.steep = any(steep);
}

// Adds to the gradient of a row what the differences that its samples enter ask for.
void gather(float *to_cycles, const Slopes &above, const Slopes &here, const Slopes &below, long width) {
    if (above.steep) {
        for (long x = 0; x < width; ++x) {
            to_cycles[x] += above.down[x];
        }
    }
    if (below.steep) {
        for (long x = 0; x < width; ++x) {
            to_cycles[x] -= below.down[x];
        }
    }
    if (here.steep) {
        for (long x = 0; x < width; ++x) {
            to_cycles[x] += here.across[x - 1] - here.across[x + 1];
        }
    }
}

template <bool ABSORBING>
void adjoint_rows(const WavePlane &plane, const float *from_real, const float *from_imaginary, float *to_cycles,
                  float *to_absorbance, float *scratch, long first, long last) {
    const long width = plane.width;
    // The differences down of three rows are needed at a time, those across of two.
    float *line[5];
    for (int number = 0; number < 5; ++number) {
        line[number] = scratch + number * (width + 2) + 1;
        line[number][-1] = line[number][width] = 0.0f;
    }
    Slopes above = {line[0], line[0], false}, here = {line[0], line[0], false};
    const long start = first > 0 ? first - 1 : 0, stop = last < plane.height ? last + 1 : plane.height;
    for (long row = start; row <= stop && row <= last; ++row) {
        Slopes below = {line[row % 3], line[3 + row % 2], false};
        if (row < stop) {
            const bool own = row >= first && row < last;
            pull_row<ABSORBING>(Rows(plane, row), from_real + row * width, from_imaginary + row * width,
                                own ? to_cycles + row * width : nullptr,
                                own && to_absorbance ? to_absorbance + row * width : nullptr, below);
        }
        if (row > first) {
            gather(to_cycles + (row - 1) * width, above, here, below, width);
        }
        above = here;
        here = below;
    }
}

void adjoint(const WavePlane &plane, const float *from_real, const float *from_imaginary, float *to_cycles,
             float *to_absorbance, float *scratch, long first, long last) {
    if (plane.absorbance) {
        adjoint_rows<true>(plane, from_real, from_imaginary, to_cycles, to_absorbance, scratch, first, last);
    } else {
        adjoint_rows<false>(plane, from_real, from_imaginary, to_cycles, nullptr, scratch, first, last);
    }
}

} // namespace

const ExitWaveKernels exit_wave = {forward, adjoint};

} // namespace exitwave::EXITWAVE_LEVEL
