// Spreading points onto a periodic grid and gathering it at points; `raster/spread.py` has the formulas in plain torch.
//
// A stencil's samples along x are one vector of 8 or 16 numbers, zero beyond its width.
#include "spread.h"
#include "lanes.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

template <class T, int SIZE> struct Pack {
    typedef T Value __attribute__((vector_size(SIZE * sizeof(T))));
    typedef T Loose __attribute__((vector_size(SIZE * sizeof(T)), aligned(sizeof(T)), may_alias));
};

// Vectors travel by reference: how they are passed by value depends on the processor.
template <class T, int SIZE> EXITWAVE_INLINE T total(const typename Pack<T, SIZE>::Value &pack) {
    T parts[SIZE];
    __builtin_memcpy(parts, &pack, sizeof(parts));
    for (int half = SIZE / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; ++lane) {
            parts[lane] += parts[lane + half];
        }
    }
    return parts[0];
}

// A stencil's polynomials in the precision and the width of its vectors.
template <class T, int SIZE> struct Polynomials {
    typedef typename Pack<T, SIZE>::Value Value;
    Value terms[TERMS];
    int count, width;

    EXITWAVE_METHOD explicit Polynomials(const Stencil &stencil) : count(stencil.terms), width(stencil.width) {
        for (int p = 0; p < count; ++p) {
            T row[SIZE] = {};
            for (int j = 0; j < width; ++j) {
                row[j] = static_cast<T>(stencil.coefficients[p * width + j]);
            }
            __builtin_memcpy(&terms[p], row, sizeof(row));
        }
    }
};

// The samples around one point: their values and slopes along every axis, and where they lie.
template <class T, int SIZE, bool SLOPES> struct Site {
    typedef typename Pack<T, SIZE>::Value Value;
    typedef typename Pack<T, SIZE>::Loose Loose;
    Value x, slope_x;
    T z[SIZE], y[SIZE], slope_z[SIZE], slope_y[SIZE];
    long planes[SIZE], rows[SIZE], column, wide;
    int width;

    EXITWAVE_METHOD Site(const SpreadGrid &grid, const Polynomials<T, SIZE> &stencil, const T *position)
        : wide(grid.shape[2]), width(stencil.width) {
        long first[3];
        T phase[3];
        for (int axis = 0; axis < 3; ++axis) {
            const double place = (static_cast<double>(position[axis]) - grid.origin[axis]) * grid.scale[axis];
            const double low = place - 0.5 * width, start = __builtin_ceil(low);
            phase[axis] = static_cast<T>(2 * (start - low) - 1);
            const long sample = static_cast<long>(start);
            const long size = grid.shape[axis];
            first[axis] = sample < 0 ? sample + size : sample >= size ? sample - size : sample;
        }
        Value values[3], slopes[3];
        for (int axis = 0; axis < 3; ++axis) {
            values[axis] = stencil.terms[stencil.count - 1];
            slopes[axis] = Value{};
        }
        for (int p = stencil.count - 2; p >= 0; --p) {
            for (int axis = 0; axis < 3; ++axis) {
                if (SLOPES) {
                    slopes[axis] = slopes[axis] * phase[axis] + values[axis];
                }
                values[axis] = values[axis] * phase[axis] + stencil.terms[p];
            }
        }
        __builtin_memcpy(z, &values[0], sizeof(z));
        __builtin_memcpy(y, &values[1], sizeof(y));
        x = values[2];
        if (SLOPES) {
            // The phase runs twice as fast as the point, the other way, and the point by `scale` samples a micrometre.
            for (int axis = 0; axis < 3; ++axis) {
                slopes[axis] = slopes[axis] * static_cast<T>(-2 * grid.scale[axis]);
            }
            __builtin_memcpy(slope_z, &slopes[0], sizeof(z));
            __builtin_memcpy(slope_y, &slopes[1], sizeof(y));
            slope_x = slopes[2];
        }
        for (int j = 0; j < width; ++j) {
            const long plane = first[0] + j, row = first[1] + j;
            planes[j] = (plane < grid.shape[0] ? plane : plane - grid.shape[0]) * grid.shape[1] * wide;
            rows[j] = (row < grid.shape[1] ? row : row - grid.shape[1]) * wide;
        }
        column = first[2];
    }

    // Whether a whole vector of samples fits before the end of a row.
    EXITWAVE_METHOD bool whole() const { return column + SIZE <= wide; }

    EXITWAVE_METHOD void add(T *row, const Value &pack) const {
        if (whole()) {
            Loose &there = *reinterpret_cast<Loose *>(row + column);
            there = there + pack;
            return;
        }
        T parts[SIZE];
        __builtin_memcpy(parts, &pack, sizeof(parts));
        for (int j = 0; j < width; ++j) {
            const long place = column + j;
            row[place < wide ? place : place - wide] += parts[j];
        }
    }

    EXITWAVE_METHOD void load(const T *row, Value &pack) const {
        if (whole()) {
            pack = *reinterpret_cast<const Loose *>(row + column);
            return;
        }
        T parts[SIZE] = {};
        for (int j = 0; j < width; ++j) {
            const long place = column + j;
            parts[j] = row[place < wide ? place : place - wide];
        }
        __builtin_memcpy(&pack, parts, sizeof(parts));
    }
};

constexpr long AHEAD = 8; // points that are fetched into the cache before their turn

template <class T>
EXITWAVE_INLINE void fetch(const Spots<T> &spots, const int32_t *order, long number, long last) {
    if (number + AHEAD < last) {
        const long next = order[number + AHEAD];
        __builtin_prefetch(spots.position + 3 * next);
        __builtin_prefetch(spots.weights + spots.channels * next);
    }
}

template <class T, int SIZE>
void add_of(const SpreadGrid &grid, const Stencil &stencil, const Spots<T> &spots, const int32_t *order, long first,
            long last, T *grids) {
    const Polynomials<T, SIZE> polynomials(stencil);
    const long size = grid.shape[0] * grid.shape[1] * grid.shape[2];
    for (long number = first; number < last; ++number) {
        fetch(spots, order, number, last);
        const long spot = order[number];
        const Site<T, SIZE, false> site(grid, polynomials, spots.position + 3 * spot);
        for (long channel = 0; channel < spots.channels; ++channel) {
            const T weight = spots.weights[spot * spots.channels + channel];
            for (int k = 0; k < site.width; ++k) {
                const auto pack = site.x * (weight * site.z[k]);
                T *plane = grids + channel * size + site.planes[k];
                for (int j = 0; j < site.width; ++j) {
                    site.add(plane + site.rows[j], pack * site.y[j]);
                }
            }
        }
    }
}

template <class T, int SIZE>
void add_change_of(const SpreadGrid &grid, const Stencil &stencil, const Spots<T> &spots, const Spots<T> &change,
                   const int32_t *order, long first, long last, T *grids) {
    const Polynomials<T, SIZE> polynomials(stencil);
    const long size = grid.shape[0] * grid.shape[1] * grid.shape[2];
    for (long number = first; number < last; ++number) {
        const long spot = order[number];
        const Site<T, SIZE, true> site(grid, polynomials, spots.position + 3 * spot);
        const T *const move = change.position + 3 * spot;
        for (long channel = 0; channel < spots.channels; ++channel) {
            const T weight = spots.weights[spot * spots.channels + channel];
            const T more = change.weights[spot * spots.channels + channel];
            for (int k = 0; k < site.width; ++k) {
                T *plane = grids + channel * size + site.planes[k];
                const T still = weight * site.z[k], moved = more * site.z[k] + weight * move[0] * site.slope_z[k];
                for (int j = 0; j < site.width; ++j) {
                    const T across = moved * site.y[j] + still * move[1] * site.slope_y[j];
                    site.add(plane + site.rows[j], site.x * across + site.slope_x * (still * move[2] * site.y[j]));
                }
            }
        }
    }
}

template <class T, int SIZE>
void gather_of(const SpreadGrid &grid, const Stencil &stencil, const Spots<T> &spots, const int32_t *order, long first,
               long last, const T *grids, T *by_position, T *by_weights) {
    typedef typename Pack<T, SIZE>::Value Value;
    const Polynomials<T, SIZE> polynomials(stencil);
    const long size = grid.shape[0] * grid.shape[1] * grid.shape[2];
    for (long number = first; number < last; ++number) {
        fetch(spots, order, number, last);
        if (number + AHEAD < last) {
            const long next = order[number + AHEAD];
            __builtin_prefetch(by_position + 3 * next, 1);
            __builtin_prefetch(by_weights + spots.channels * next, 1);
        }
        const long spot = order[number];
        const Site<T, SIZE, true> site(grid, polynomials, spots.position + 3 * spot);
        Value pull_z{}, pull_y{}, pull_x{};
        for (long channel = 0; channel < spots.channels; ++channel) {
            Value middle{}, along_z{}, along_y{};
            for (int k = 0; k < site.width; ++k) {
                const T *plane = grids + channel * size + site.planes[k];
                Value sum{}, sloped{};
                for (int j = 0; j < site.width; ++j) {
                    Value row;
                    site.load(plane + site.rows[j], row);
                    sum += row * site.y[j];
                    sloped += row * site.slope_y[j];
                }
                middle += sum * site.z[k];
                along_z += sum * site.slope_z[k];
                along_y += sloped * site.z[k];
            }
            const T weight = spots.weights[spot * spots.channels + channel];
            by_weights[spot * spots.channels + channel] = total<T, SIZE>(middle * site.x);
            pull_z += along_z * weight;
            pull_y += along_y * weight;
            pull_x += middle * weight;
        }
        by_position[3 * spot] = total<T, SIZE>(pull_z * site.x);
        by_position[3 * spot + 1] = total<T, SIZE>(pull_y * site.x);
        by_position[3 * spot + 2] = total<T, SIZE>(pull_x * site.slope_x);
    }
}

template <class T>
void add(const SpreadGrid &grid, const Stencil &stencil, const Spots<T> &spots, const int32_t *order, long first,
         long last, T *grids) {
    (stencil.width <= 8 ? add_of<T, 8> : add_of<T, WIDEST>)(grid, stencil, spots, order, first, last, grids);
}

template <class T>
void add_change(const SpreadGrid &grid, const Stencil &stencil, const Spots<T> &spots, const Spots<T> &change,
                const int32_t *order, long first, long last, T *grids) {
    const auto run = stencil.width <= 8 ? add_change_of<T, 8> : add_change_of<T, WIDEST>;
    run(grid, stencil, spots, change, order, first, last, grids);
}

template <class T>
void gather(const SpreadGrid &grid, const Stencil &stencil, const Spots<T> &spots, const int32_t *order, long first,
            long last, const T *grids, T *by_position, T *by_weights) {
    const auto run = stencil.width <= 8 ? gather_of<T, 8> : gather_of<T, WIDEST>;
    run(grid, stencil, spots, order, first, last, grids, by_position, by_weights);
}

} // namespace

const SpreadKernels spread = {{add<float>, add_change<float>, gather<float>},
                              {add<double>, add_change<double>, gather<double>}};

} // namespace exitwave::EXITWAVE_LEVEL
