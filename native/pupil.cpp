// A spectrum behind a pupil, and the irradiance of a field.
#include "pupil_value.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

// A tile of the spectrum is turned over in the first-level cache.
constexpr long TILE = 16;

// A piece of one column.
EXITWAVE_INLINE void column(const Pupil &pupil, const Rim &rim, const Piece &piece, double across, const Complex *from,
                            Complex *to) {
    float real[PIECE], imaginary[PIECE];
    evaluate(pupil, rim, piece, across, real, imaginary);
    for (long i = 0; i < piece.count; ++i) {
        to[i] = {real[i] * from[i].real - imaginary[i] * from[i].imaginary,
                 real[i] * from[i].imaginary + imaginary[i] * from[i].real};
    }
}

EXITWAVE_INLINE void clear(Complex *to, long count) {
    for (long i = 0; i < count; ++i) {
        to[i] = {0.0f, 0.0f};
    }
}

void times(const Pupil &pupil, const Frequencies &at, const float *spectrum, long stride, float *field, long length,
           long first, long last) {
    const Rim rim(pupil);
    Complex *const to = reinterpret_cast<Complex *>(field);
    Complex tile[TILE][PIECE];
    for (long row = 0; row < at.rows; row += PIECE) {
        const Piece piece(at.fy + row, at.rows - row, 0.0);
        for (long left = first; left < last; left += TILE) {
            const long width = last - left < TILE ? last - left : TILE;
            double across[TILE], nearest = rim.closed;
            for (long x = 0; x < width; ++x) {
                across[x] = static_cast<double>(at.fx[left + x]) * at.fx[left + x];
                nearest = across[x] < nearest ? across[x] : nearest;
            }
            if (piece.nearest + nearest < rim.closed) {
                for (long i = 0; i < piece.count; ++i) {
                    const Complex *line = reinterpret_cast<const Complex *>(spectrum + (row + i) * stride) + left;
                    for (long x = 0; x < width; ++x) {
                        tile[x][i] = line[x];
                    }
                }
            }
            for (long x = 0; x < width; ++x) {
                Complex *const here = to + (left + x) * length + row;
                if (piece.nearest + across[x] < rim.closed) {
                    column(pupil, rim, piece, across[x], tile[x], here);
                } else {
                    clear(here, piece.count);
                }
            }
        }
    }
    for (long x = first; x < last; ++x) {
        clear(to + x * length + at.rows, length - at.rows);
    }
}

void turn_over(const float *from, long length, float *to, long stride, long height, long width) {
    const Complex *const source = reinterpret_cast<const Complex *>(from);
    Complex *const target = reinterpret_cast<Complex *>(to);
    // As many numbers as a line of the cache holds.
    constexpr long LINE = 8;
    for (long top = 0; top < height; top += TILE) {
        const long bottom = height - top < TILE ? height : top + TILE;
        for (long left = 0; left < width; left += LINE) {
            const long count = width - left < LINE ? width - left : LINE;
            for (long row = top; row < bottom; ++row) {
                Complex *const line = target + row * stride + left;
                const Complex *const column = source + left * length + row;
                if (count == LINE) {
                    for (long x = 0; x < LINE; ++x) {
                        line[x] = column[x * length];
                    }
                } else {
                    for (long x = 0; x < count; ++x) {
                        line[x] = column[x * length];
                    }
                }
            }
        }
    }
}

void add_square(float *total, const float *field, float weight, long count) {
    for (long i = 0; i < count; ++i) {
        total[i] += weight * (field[2 * i] * field[2 * i] + field[2 * i + 1] * field[2 * i + 1]);
    }
}

} // namespace

const PupilKernels pupil = {times, turn_over, add_square};

} // namespace exitwave::EXITWAVE_LEVEL
