// A spectrum behind a pupil, and the irradiance of a field; `optics/objective.py` has the pupil in plain torch.
#include "pupil.h"
#include "turn.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

// A tile of the spectrum is turned over in the first-level cache. Loops over whole pieces of a column are written plainly
// for the compiler to vectorise.
constexpr long PIECE = 64;
constexpr long TILE = 16;
// Squared cosines below this one count as this one: light at and beyond a right angle.
constexpr double GRAZING = 1e-6;
// Adding and taking away 1.5 x 2^52 rounds to whole numbers.
constexpr double ROUND = 6755399441055744.0;

struct Complex {
    float real, imaginary;
};

// Some consecutive rows' frequencies; the last of them fills the piece up.
struct Piece {
    double square[PIECE]; // fy^2
    double nearest, farthest;
    long first, count;

    EXITWAVE_METHOD Piece(const Pupil &pupil, long row) : first(row) {
        count = pupil.rows - row < PIECE ? pupil.rows - row : PIECE;
        for (long i = 0; i < PIECE; ++i) {
            const double frequency = pupil.fy[row + (i < count ? i : count - 1)];
            square[i] = frequency * frequency;
        }
        const double low = square[0], high = square[count - 1];
        farthest = low > high ? low : high;
        nearest = pupil.fy[row] < 0.0f && pupil.fy[row + count - 1] > 0.0f ? 0.0 : low < high ? low : high;
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

// A piece of one column.
EXITWAVE_INLINE void column(const Pupil &pupil, const Rim &rim, const Piece &piece, double across, const Complex *from,
                            Complex *to) {
    float real[PIECE], imaginary[PIECE], amplitude[PIECE];
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

void times(const Pupil &pupil, const float *spectrum, long stride, float *field, long length, long first, long last) {
    const Rim rim(pupil);
    Complex *const to = reinterpret_cast<Complex *>(field);
    Complex tile[TILE][PIECE];
    for (long row = 0; row < pupil.rows; row += PIECE) {
        const Piece piece(pupil, row);
        for (long left = first; left < last; left += TILE) {
            const long width = last - left < TILE ? last - left : TILE;
            double across[TILE], nearest = rim.closed;
            for (long x = 0; x < width; ++x) {
                across[x] = static_cast<double>(pupil.fx[left + x]) * pupil.fx[left + x];
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
        clear(to + x * length + pupil.rows, length - pupil.rows);
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
