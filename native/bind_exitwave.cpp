// Python's side of exitwave.cpp.
#include "exitwave.h"
#include "parallel.h"

#include <algorithm>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <optional>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace exitwave {

namespace {

// Rows that one task takes on. The adjoint computes two more at its ends.
constexpr long BAND = 64;

using Given = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Result = nb::ndarray<float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using GivenPair = nb::ndarray<const float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;
using ResultPair = nb::ndarray<float, nb::ndim<4>, nb::c_contig, nb::device::cpu>;

template <class Array> void require_shape(const Array &array, const Given &like, size_t lead) {
    for (size_t axis = 0; axis < 3; ++axis) {
        if (array.shape(lead + axis) != like.shape(axis) || (lead && array.shape(0) != 2)) {
            throw std::invalid_argument("every array must have the shape of cycles, waves twice; got another shape");
        }
    }
}

// Calls work(plane, offset of its first sample, first row, last row, worker) for all bands of all planes.
template <class Work>
void over_bands(const Given &cycles, const std::optional<Given> &absorbance, int threads, const Work &work) {
    const long height = cycles.shape(1), width = cycles.shape(2), bands = (height + BAND - 1) / BAND;
    parallel(static_cast<long>(cycles.shape(0)) * bands, threads, [&](long task, int worker) {
        const long offset = task / bands * height * width, first = task % bands * BAND;
        const WavePlane plane = {cycles.data() + offset, absorbance ? absorbance->data() + offset : nullptr, height,
                                 width};
        work(plane, offset, first, std::min(first + BAND, height), worker);
    });
}

void forward(const Given &cycles, const std::optional<Given> &absorbance, const ResultPair &wave, int threads) {
    require_shape(wave, cycles, 1);
    if (absorbance) {
        require_shape(*absorbance, cycles, 0);
    }
    float *real = wave.data(), *imaginary = real + cycles.size();
    const ExitWaveKernels &kernels = EXITWAVE_PICK(exit_wave);
    nb::gil_scoped_release released;
    over_bands(cycles, absorbance, threads, [&](const WavePlane &plane, long offset, long first, long last, int) {
        kernels.forward(plane, real + offset, imaginary + offset, first, last);
    });
}

void adjoint(const Given &cycles, const std::optional<Given> &absorbance, const GivenPair &from_wave,
             const Result &to_cycles, const std::optional<Result> &to_absorbance, int threads) {
    require_shape(from_wave, cycles, 1);
    require_shape(to_cycles, cycles, 0);
    if (absorbance) {
        require_shape(*absorbance, cycles, 0);
    }
    if (to_absorbance) {
        require_shape(*to_absorbance, cycles, 0);
    }
    const float *real = from_wave.data(), *imaginary = real + cycles.size();
    const long scratch = wave_scratch(cycles.shape(2));
    std::vector<float> memory(scratch * std::max(threads, 1));
    const ExitWaveKernels &kernels = EXITWAVE_PICK(exit_wave);
    nb::gil_scoped_release released;
    over_bands(cycles, absorbance, threads,
               [&](const WavePlane &plane, long offset, long first, long last, int worker) {
                   kernels.adjoint(plane, real + offset, imaginary + offset, to_cycles.data() + offset,
                                   to_absorbance ? to_absorbance->data() + offset : nullptr,
                                   memory.data() + worker * scratch, first, last);
               });
}

} // namespace

} // namespace exitwave

void bind_exitwave(nb::module_ &module) {
    module.def("exit_wave", &exitwave::forward, "cycles"_a, "absorbance"_a.none(), "wave"_a, "threads"_a,
               "Fill `wave` (2, P, H, W) with the exit wave of P planes.");
    module.def("exit_wave_adjoint", &exitwave::adjoint, "cycles"_a, "absorbance"_a.none(), "from_wave"_a,
               "to_cycles"_a, "to_absorbance"_a.none(), "threads"_a,
               "Fill the gradients with respect to path and absorbance, given the one with respect to the wave.");
}
