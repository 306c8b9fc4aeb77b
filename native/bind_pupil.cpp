// Python's side of pupil.cpp.
#include "pupil.h"
#include "parallel.h"

#include <algorithm>
#include <cmath>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <stdexcept>
#include <utility>

namespace nb = nanobind;
using namespace nb::literals;

namespace exitwave {

namespace {

// Columns of the pupil that one task takes on, and samples where little is done to each: fewer take less time than it
// takes to start a thread.
constexpr long COLUMNS = 16;
constexpr long SAMPLES = 1 << 18;

template <class Number, size_t axes>
using Array = nb::ndarray<Number, nb::ndim<axes>, nb::c_contig, nb::device::cpu>;
// Rows may lie apart.
using Rows = nb::ndarray<const float, nb::ndim<3>, nb::device::cpu>;

void times(const Rows &spectrum, const Array<const float, 1> &fy, const Array<const float, 1> &fx, double na,
           double wavelength, double medium, double height, std::pair<double, double> step, const Array<float, 3> &field,
           int threads) {
    const long rows = fy.shape(0), columns = fx.shape(0);
    if (static_cast<long>(spectrum.shape(0)) != rows || static_cast<long>(spectrum.shape(1)) != columns ||
        spectrum.shape(2) != 2 || spectrum.stride(2) != 1 || (columns > 1 && spectrum.stride(1) != 2)) {
        throw std::invalid_argument("spectrum must be (n, m, 2) for n fy and m fx with dense rows; got others");
    }
    if (static_cast<long>(field.shape(0)) != columns || static_cast<long>(field.shape(1)) < rows ||
        field.shape(2) != 2) {
        throw std::invalid_argument("field must be (m, n or more, 2) for n fy and m fx; got another shape");
    }
    const Pupil pupil = {fy.data(), fx.data(), rows, columns, na / wavelength, std::sqrt(step.first * step.second),
                         wavelength / medium, height};
    const long stride = spectrum.stride(0), length = field.shape(1);
    const PupilKernels &kernels = EXITWAVE_PICK(pupil);
    nb::gil_scoped_release released;
    parallel((columns + COLUMNS - 1) / COLUMNS, threads, [&](long task, int) {
        kernels.times(pupil, spectrum.data(), stride, field.data(), length, task * COLUMNS,
                      std::min((task + 1) * COLUMNS, columns));
    });
}

void turn_over(const Array<const float, 3> &source, long first, const Array<float, 3> &target,
               int threads) {
    const long columns = source.shape(0), length = source.shape(1), rows = target.shape(0), stride = target.shape(1);
    if (source.shape(2) != 2 || target.shape(2) != 2 || columns > stride || first < 0 || first + rows > length) {
        throw std::invalid_argument("expected (m, n, 2) and (h, m or more, 2) with first + h <= n; got others");
    }
    const PupilKernels &kernels = EXITWAVE_PICK(pupil);
    nb::gil_scoped_release released;
    const long band = std::max(1L, SAMPLES / std::max(1L, stride));
    parallel((rows + band - 1) / band, threads, [&](long task, int) {
        const long top = task * band;
        kernels.turn_over(source.data() + 2 * (first + top), length, target.data() + 2 * top * stride, stride,
                          std::min(band, rows - top), columns);
    });
}

void add_square(const Array<const float, 3> &field, float weight, const Array<float, 2> &total, int threads) {
    if (field.shape(0) != total.shape(0) || field.shape(1) != total.shape(1) || field.shape(2) != 2) {
        throw std::invalid_argument("field must be (h, w, 2) for a total (h, w); got another shape");
    }
    const long count = total.size();
    const PupilKernels &kernels = EXITWAVE_PICK(pupil);
    nb::gil_scoped_release released;
    parallel((count + SAMPLES - 1) / SAMPLES, threads, [&](long task, int) {
        const long first = task * SAMPLES;
        kernels.add_square(total.data() + first, field.data() + 2 * first, weight, std::min(SAMPLES, count - first));
    });
}

} // namespace

} // namespace exitwave

void bind_pupil(nb::module_ &module) {
    module.def("pupil_times", &exitwave::times, "spectrum"_a, "fy"_a, "fx"_a, "na"_a, "wavelength"_a, "medium"_a,
               "height"_a, "step"_a, "field"_a, "threads"_a,
               "Fill `field` with pupil * spectrum, turned over, and with zeros after it.");
    module.def("turn_over", &exitwave::turn_over, "source"_a, "first"_a, "target"_a, "threads"_a,
               "Copy columns of `source` from `first` on to rows of `target`, as many as it has.");
    module.def("add_square", &exitwave::add_square, "field"_a, "weight"_a, "total"_a, "threads"_a,
               "Add weight * |field|^2 to `total`.");
}
