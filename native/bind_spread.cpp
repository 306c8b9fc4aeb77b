// Python's side of spread.cpp.
#include "parallel.h"
#include "spread.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>
#include <stdexcept>
#include <tuple>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace exitwave {

namespace {

constexpr long BLOCK = 1024; // points that one task of the adjoint takes on
constexpr long SORTED = 1 << 16; // points whose cells one task finds

template <class T, size_t axes> using Given = nb::ndarray<const T, nb::ndim<axes>, nb::c_contig, nb::device::cpu>;
template <class T, size_t axes> using Result = nb::ndarray<T, nb::ndim<axes>, nb::c_contig, nb::device::cpu>;
using Triple = std::tuple<double, double, double>;
using Order = Given<int32_t, 1>;

// The stencil's first sample along an axis, from 0 on.
long first_sample(const SpreadGrid &grid, int axis, double place, int width) {
    const long sample = static_cast<long>(std::ceil(place - 0.5 * width)), size = grid.shape[axis];
    return sample < 0 ? sample + size : sample >= size ? sample - size : sample;
}

// Slabs of planes that points are sorted into by their stencil's first one. A slab is no thinner than a stencil, so that
// stencils reach into the next slab only, and slabs of one parity can be filled at the same time: there is an even
// number of them, as the last one is followed by the first, or just one.
long slabs_of(const SpreadGrid &grid, int width) { return std::max(grid.shape[0] / width / 2 * 2, 1L); }

SpreadGrid grid_of(long depth, long height, long width, const Triple &origin, const Triple &scale) {
    return {{depth, height, width},
            {std::get<0>(origin), std::get<1>(origin), std::get<2>(origin)},
            {std::get<0>(scale), std::get<1>(scale), std::get<2>(scale)}};
}

Stencil stencil_of(const Given<double, 2> &coefficients, const SpreadGrid &grid) {
    const Stencil stencil = {coefficients.data(), static_cast<int>(coefficients.shape(0)),
                             static_cast<int>(coefficients.shape(1))};
    if (stencil.terms < 1 || stencil.terms > TERMS || stencil.width < 1 || stencil.width > WIDEST) {
        throw std::invalid_argument("coefficients must be (up to 24, up to 16); got more or none");
    }
    for (long size : grid.shape) {
        if (size < stencil.width) {
            throw std::invalid_argument("a grid must have a stencil's width of samples; got fewer");
        }
    }
    return stencil;
}

// Fills `order` with the points slab by slab and row by row, those outside the box last. Returns how many lie in each
// slab or before it.
template <class T>
std::vector<long> sort(const SpreadGrid &grid, int width, const Given<T, 2> &position, const Result<int32_t, 1> &order,
                       int threads) {
    const long count = position.shape(0), height = grid.shape[1], slabs = slabs_of(grid, width);
    const long outside = slabs * height;
    std::vector<int32_t> cells(count);
    const T *const from = position.data();
    parallel((count + SORTED - 1) / SORTED, threads, [&](long task, int) {
        for (long spot = task * SORTED; spot < std::min(count, (task + 1) * SORTED); ++spot) {
            double place[3];
            bool inside = true;
            for (int axis = 0; axis < 3; ++axis) {
                place[axis] = (static_cast<double>(from[3 * spot + axis]) - grid.origin[axis]) * grid.scale[axis];
                inside = inside && place[axis] >= 0 && place[axis] <= static_cast<double>(grid.shape[axis]);
            }
            cells[spot] = static_cast<int32_t>(outside);
            if (inside) {
                const long slab = first_sample(grid, 0, place[0], width) * slabs / grid.shape[0];
                cells[spot] = static_cast<int32_t>(slab * height + first_sample(grid, 1, place[1], width));
            }
        }
    });
    std::vector<long> starts(outside + 2, 0);
    for (long spot = 0; spot < count; ++spot) {
        ++starts[cells[spot] + 1];
    }
    for (long cell = 0; cell <= outside; ++cell) {
        starts[cell + 1] += starts[cell];
    }
    std::vector<long> ends(slabs + 1);
    for (long slab = 0; slab <= slabs; ++slab) {
        ends[slab] = starts[slab * height];
    }
    for (long spot = 0; spot < count; ++spot) {
        order.data()[starts[cells[spot]]++] = static_cast<int32_t>(spot);
    }
    return ends;
}

// Clears the grids and calls work(first, last) for the points of every slab, those of one parity at a time.
template <class T, class Work>
void by_slabs(const SpreadGrid &grid, const Result<T, 4> &grids, const std::vector<long> &ends, int threads,
              const Work &work) {
    const long slabs = static_cast<long>(ends.size()) - 1, plane = grid.shape[1] * grid.shape[2];
    parallel(static_cast<long>(grids.shape(0)) * grid.shape[0], threads,
             [&](long task, int) { std::memset(grids.data() + task * plane, 0, sizeof(T) * plane); });
    for (long parity = 0; parity < 2; ++parity) {
        parallel((slabs + 1 - parity) / 2, threads, [&](long task, int) {
            const long slab = 2 * task + parity;
            work(ends[slab], ends[slab + 1]);
        });
    }
}

template <class T> struct Kernels;
template <> struct Kernels<float> {
    static const SpreadFaces<float> &faces() { return EXITWAVE_PICK(spread).single; }
};
template <> struct Kernels<double> {
    static const SpreadFaces<double> &faces() { return EXITWAVE_PICK(spread).twofold; }
};

template <class T> Spots<T> spots_of(const Given<T, 2> &position, const Given<T, 2> &weights, size_t channels) {
    if (position.shape(1) != 3 || weights.shape(0) != position.shape(0) || weights.shape(1) != channels) {
        throw std::invalid_argument("positions must be (Q, 3) and weights (Q, C) for grids (C, Z, Y, X); got others");
    }
    if (position.shape(0) > static_cast<size_t>(INT32_MAX)) {
        throw std::invalid_argument("there may be 2^31 - 1 points at a time; got more: split them");
    }
    return {position.data(), weights.data(), static_cast<long>(channels)};
}

template <class T>
long add(const Given<T, 2> &position, const Given<T, 2> &weights, const Given<double, 2> &coefficients,
         const Triple &origin, const Triple &scale, const Result<T, 4> &grids, const Result<int32_t, 1> &order,
         int threads) {
    const SpreadGrid grid = grid_of(grids.shape(1), grids.shape(2), grids.shape(3), origin, scale);
    const Stencil stencil = stencil_of(coefficients, grid);
    const Spots<T> spots = spots_of(position, weights, grids.shape(0));
    if (order.shape(0) != position.shape(0)) {
        throw std::invalid_argument("order must have a number for every point; got others");
    }
    nb::gil_scoped_release released;
    const std::vector<long> ends = sort(grid, stencil.width, position, order, threads);
    by_slabs(grid, grids, ends, threads, [&](long first, long last) {
        Kernels<T>::faces().add(grid, stencil, spots, order.data(), first, last, grids.data());
    });
    return ends.back();
}

template <class T>
void add_change(const Given<T, 2> &position, const Given<T, 2> &weights, const Given<T, 2> &by_position,
                const Given<T, 2> &by_weights, const Given<double, 2> &coefficients, const Triple &origin,
                const Triple &scale, const Result<T, 4> &grids, int threads) {
    const SpreadGrid grid = grid_of(grids.shape(1), grids.shape(2), grids.shape(3), origin, scale);
    const Stencil stencil = stencil_of(coefficients, grid);
    const Spots<T> spots = spots_of(position, weights, grids.shape(0));
    const Spots<T> change = spots_of(by_position, by_weights, grids.shape(0));
    if (by_position.shape(0) != position.shape(0)) {
        throw std::invalid_argument("there must be a change for every point; got others");
    }
    nb::gil_scoped_release released;
    std::vector<int32_t> memory(position.shape(0));
    const size_t count[] = {memory.size()};
    const Result<int32_t, 1> order(memory.data(), 1, count);
    const std::vector<long> ends = sort(grid, stencil.width, position, order, threads);
    by_slabs(grid, grids, ends, threads, [&](long first, long last) {
        Kernels<T>::faces().add_change(grid, stencil, spots, change, memory.data(), first, last, grids.data());
    });
}

template <class T>
void gather(const Given<T, 2> &position, const Given<T, 2> &weights, const Given<double, 2> &coefficients,
            const Triple &origin, const Triple &scale, const Given<T, 4> &grids, const Order &order, long inside,
            const Result<T, 2> &by_position, const Result<T, 2> &by_weights, int threads) {
    const SpreadGrid grid = grid_of(grids.shape(1), grids.shape(2), grids.shape(3), origin, scale);
    const Stencil stencil = stencil_of(coefficients, grid);
    const Spots<T> spots = spots_of(position, weights, grids.shape(0));
    const size_t count = position.shape(0);
    if (order.shape(0) != count || inside < 0 || inside > static_cast<long>(count) || by_position.shape(0) != count ||
        by_position.shape(1) != 3 || by_weights.shape(0) != count || by_weights.shape(1) != grids.shape(0)) {
        throw std::invalid_argument("order and gradients must have a row for every point; got others");
    }
    nb::gil_scoped_release released;
    parallel((inside + BLOCK - 1) / BLOCK, threads, [&](long task, int) {
        Kernels<T>::faces().gather(grid, stencil, spots, order.data(), task * BLOCK,
                                   std::min(inside, (task + 1) * BLOCK), grids.data(), by_position.data(),
                                   by_weights.data());
    });
    for (long number = inside; number < static_cast<long>(count); ++number) {
        const long spot = order.data()[number];
        std::fill_n(by_position.data() + 3 * spot, 3, T(0));
        std::fill_n(by_weights.data() + spots.channels * spot, spots.channels, T(0));
    }
}

template <class T> void bind(nb::module_ &module) {
    module.def("spread", &add<T>, "position"_a, "weights"_a, "coefficients"_a, "origin"_a, "scale"_a, "grids"_a,
               "order"_a, "threads"_a,
               "Fill `grids` with spread points and `order` with their order; return how many lie in the box.");
    module.def("spread_change", &add_change<T>, "position"_a, "weights"_a, "by_position"_a, "by_weights"_a,
               "coefficients"_a, "origin"_a, "scale"_a, "grids"_a, "threads"_a,
               "Fill `grids` with how spread points change as positions and weights do.");
    module.def("spread_adjoint", &gather<T>, "position"_a, "weights"_a, "coefficients"_a, "origin"_a, "scale"_a,
               "grids"_a, "order"_a, "inside"_a, "by_position"_a, "by_weights"_a, "threads"_a,
               "Fill the gradients by positions and weights of the sum of spread points times `grids`.");
}

} // namespace

} // namespace exitwave

void bind_spread(nb::module_ &module) {
    exitwave::bind<float>(module);
    exitwave::bind<double>(module);
}
