// Coherent kernels of a source: mixed pupils; `optics/modes.py` has them in plain torch.
#include "modes.h"
#include "pupil_value.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

static_assert(modes_scratch(0) == MODES_ROWS * PIECE, "the caller's memory holds whole pieces");

// Sums over the points at the frequencies of a piece in a few rows, real and imaginary parts apart.
struct Sums {
    float *light;            // sum |b_s|^2, (MODES_ROWS, PIECE)
    float *real, *imaginary; // of the kernels, (kernels, MODES_ROWS, PIECE) each

    EXITWAVE_METHOD Sums(float *memory, long kernels)
        : light(memory), real(memory + MODES_ROWS * PIECE), imaginary(real + kernels * MODES_ROWS * PIECE) {
        for (long i = 0; i < (2 * kernels + 1) * MODES_ROWS * PIECE; ++i) {
            memory[i] = 0.0f;
        }
    }

    // Adds one point's pupil in one row.
    EXITWAVE_METHOD void add(const Points &points, long point, long row, const float *pupil_real,
                             const float *pupil_imaginary) {
        float *const sum = light + row * PIECE;
        for (long i = 0; i < PIECE; i += LANES) {
            const Lanes a = load(pupil_real + i), b = load(pupil_imaginary + i);
            store(sum + i, load(sum + i) + (a * a + b * b));
        }
        for (long kernel = 0; kernel < points.kernels; ++kernel) {
            const float *const factor = points.mixing + 2 * (kernel * points.count + point);
            const Lanes c = all(factor[0]), d = all(factor[1]);
            float *const to_real = real + (kernel * MODES_ROWS + row) * PIECE;
            float *const to_imaginary = imaginary + (kernel * MODES_ROWS + row) * PIECE;
            for (long i = 0; i < PIECE; i += LANES) {
                const Lanes a = load(pupil_real + i), b = load(pupil_imaginary + i);
                store(to_real + i, load(to_real + i) + c * a - d * b);
                store(to_imaginary + i, load(to_imaginary + i) + c * b + d * a);
            }
        }
    }
};

EXITWAVE_INLINE void write(Complex *to, const float *real, const float *imaginary, long count) {
    for (long i = 0; i < count; ++i) {
        to[i] = {real[i], imaginary[i]};
    }
}

// One point's pupil times its amplitude. Returns whether it is open at any frequency of the piece.
EXITWAVE_INLINE bool shine(const Pupil &pupil, const Rim &rim, const Piece &piece, double frequency, float amplitude,
                           float *real, float *imaginary) {
    const double across = frequency * frequency;
    if (piece.nearest + across >= rim.closed) {
        return false;
    }
    evaluate(pupil, rim, piece, across, real, imaginary);
    for (long i = 0; i < PIECE; ++i) {
        real[i] *= amplitude;
        imaginary[i] *= amplitude;
    }
    return true;
}

// Writes what a piece has summed; returns by how much light they are off at most.
EXITWAVE_INLINE float finish(const Sums &sums, const Points &points, const Frequencies &at, long first, long left,
                             long count, Complex *field) {
    float most = 0.0f;
    for (long row = 0; row < MODES_ROWS && first + row < at.rows; ++row) {
        float *const light = sums.light + row * PIECE;
        for (long kernel = 0; kernel < points.kernels; ++kernel) {
            const float *const real = sums.real + (kernel * MODES_ROWS + row) * PIECE;
            const float *const imaginary = sums.imaginary + (kernel * MODES_ROWS + row) * PIECE;
            for (long i = 0; i < PIECE; ++i) {
                light[i] -= real[i] * real[i] + imaginary[i] * imaginary[i];
            }
            write(field + (kernel * at.rows + first + row) * at.columns + left, real, imaginary, count);
        }
        for (long i = 0; i < count; ++i) {
            const float off = light[i] < 0.0f ? -light[i] : light[i];
            most = off > most ? off : most;
        }
    }
    return most;
}

// The points themselves, a piece of a few rows of each.
EXITWAVE_INLINE void points_apart(const Pupil &pupil, const Rim &rim, const Frequencies &at, const Points &points,
                                  long first, long left, Complex *field) {
    float real[PIECE], imaginary[PIECE];
    for (long point = 0; point < points.count; ++point) {
        const Piece piece(at.fx + left, at.columns - left, points.tilt[2 * point + 1]);
        for (long row = first; row < first + MODES_ROWS && row < at.rows; ++row) {
            const double frequency = at.fy[row] + points.tilt[2 * point];
            if (!shine(pupil, rim, piece, frequency, points.amplitude[point], real, imaginary)) {
                for (long i = 0; i < PIECE; ++i) {
                    real[i] = imaginary[i] = 0.0f;
                }
            }
            write(field + (point * at.rows + row) * at.columns + left, real, imaginary, piece.count);
        }
    }
}

float build(const Pupil &pupil, const Frequencies &at, const Points &points, long first, float *memory, float *field) {
    const Rim rim(pupil);
    Complex *const to = reinterpret_cast<Complex *>(field);
    float most = 0.0f, real[PIECE], imaginary[PIECE];
    for (long left = 0; left < at.columns; left += PIECE) {
        if (points.mixing == nullptr) {
            points_apart(pupil, rim, at, points, first, left, to);
            continue;
        }
        Sums sums(memory, points.kernels);
        for (long point = 0; point < points.count; ++point) {
            const Piece piece(at.fx + left, at.columns - left, points.tilt[2 * point + 1]);
            for (long row = 0; row < MODES_ROWS && first + row < at.rows; ++row) {
                const double frequency = at.fy[first + row] + points.tilt[2 * point];
                if (shine(pupil, rim, piece, frequency, points.amplitude[point], real, imaginary)) {
                    sums.add(points, point, row, real, imaginary);
                }
            }
        }
        const long count = at.columns - left < PIECE ? at.columns - left : PIECE;
        const float off = finish(sums, points, at, first, left, count, to);
        most = off > most ? off : most;
    }
    return most;
}

} // namespace

const ModesKernels modes = {build};

} // namespace exitwave::EXITWAVE_LEVEL
