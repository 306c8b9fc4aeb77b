// The pupil of an objective at some frequencies side by side; `optics/objective.py` has it in plain torch.
#pragma once

#include "pupil.h"
#include "turn.h"

namespace exitwave::EXITWAVE_LEVEL {

// Frequencies that are taken at a time. Loops over whole pieces are written plainly for the compiler to vectorise.
constexpr long PIECE = 64;
// Squared cosines below this one count as this one: light at and beyond a right angle.
constexpr double GRAZING = 1e-6;
// Adding and taking away 1.5 x 2^52 rounds to whole numbers.
constexpr double ROUND = 6755399441055744.0;

struct Complex {
    float real, imaginary;
};

// Consecutive frequencies along one axis, ascending; the last of them fills the piece up.
struct Piece {
    double square[PIECE]; // of the frequency
    double nearest, farthest;
    long count;

    // The first of `left` frequencies, moved by `shift`.
    EXITWAVE_METHOD Piece(const float *frequencies, long left, double shift) {
        count = left < PIECE ? left : PIECE;
        for (long i = 0; i < count; ++i) {
            const double frequency = frequencies[i] + shift;
            square[i] = frequency * frequency;
        }
        for (long i = count; i < PIECE; ++i) {
            square[i] = square[count - 1];
        }
        const double low = square[0], high = square[count - 1];
        farthest = low > high ? low : high;
        const bool crosses = frequencies[0] + shift < 0.0 && frequencies[count - 1] + shift > 0.0;
        nearest = crosses ? 0.0 : low < high ? low : high;
    }
};

// Squared distances from the axis within which the pupil is open, and beyond which it is closed.
struct Rim {
    double open, closed;

    EXITWAVE_METHOD explicit Rim(const Pupil &pupil) {
        const double inner = pupil.edge - 0.5 * pupil.rim, outer = pupil.edge + 0.5 * pupil.rim;
        open = inner > 0.0 ? inner * inner : -1.0;
        closed = outer * outer;
    }
};

// Phase of defocus in cycles, less whole ones. In double precision: a phase may have thousands of cycles.
EXITWAVE_INLINE void defocus(const Pupil &pupil, const Piece &piece, double across, float *cycles) {
    const double slope = pupil.ratio * pupil.ratio, depth = -pupil.height / pupil.ratio;
    const double steepest = __builtin_sqrt(GRAZING);
    for (long i = 0; i < PIECE; ++i) {
        const double sine = slope * (piece.square[i] + across), left = 1.0 - sine;
        const double cosine = __builtin_sqrt(left > GRAZING ? left : GRAZING);
        // sine^2 / (1 + cosine) is 1 - cosine, up to the right angle.
        const double turns = depth * (left > GRAZING ? 1.0 - cosine : sine / (1.0 + steepest));
        cycles[i] = static_cast<float>(turns - ((turns + ROUND) - ROUND));
    }
}

// What the rim lets pass. Where it is steep, single precision would lose digits.
EXITWAVE_INLINE void openness(const Pupil &pupil, const Piece &piece, double across, float *amplitude) {
    const double edge = pupil.edge / pupil.rim + 0.5, steep = 1.0 / pupil.rim;
    for (long i = 0; i < PIECE; ++i) {
        const double depth = edge - steep * __builtin_sqrt(piece.square[i] + across);
        const double inside = depth < 0.0 ? 0.0 : depth > 1.0 ? 1.0 : depth;
        amplitude[i] = static_cast<float>(inside * inside * (3.0 - 2.0 * inside));
    }
}

// The pupil at a piece's frequencies, `across` the square of the other axis' frequency.
EXITWAVE_INLINE void evaluate(const Pupil &pupil, const Rim &rim, const Piece &piece, double across, float *real,
                              float *imaginary) {
    float amplitude[PIECE];
    defocus(pupil, piece, across, real);
    if (piece.farthest + across > rim.open) {
        openness(pupil, piece, across, amplitude);
    } else {
        for (long i = 0; i < PIECE; ++i) {
            amplitude[i] = 1.0f;
        }
    }
    for (long i = 0; i < PIECE; i += LANES) {
        const Phase phase = turn(load(real + i));
        store(real + i, load(amplitude + i) * phase.cosine);
        store(imaginary + i, load(amplitude + i) * phase.sine);
    }
}

} // namespace exitwave::EXITWAVE_LEVEL
