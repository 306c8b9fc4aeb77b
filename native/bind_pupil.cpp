// Python's side of pupil.cpp and modes.cpp.
#include "modes.h"
#include "parallel.h"
#include "pupil.h"

#include <algorithm>
#include <cmath>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

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
    const Frequencies frequencies = {fy.data(), fx.data(), rows, columns};
    const Pupil pupil = {na / wavelength, std::sqrt(step.first * step.second), wavelength / medium, height};
    const long stride = spectrum.stride(0), length = field.shape(1);
    const PupilKernels &kernels = EXITWAVE_PICK(pupil);
    nb::gil_scoped_release released;
    parallel((columns + COLUMNS - 1) / COLUMNS, threads, [&](long task, int) {
        kernels.times(pupil, frequencies, spectrum.data(), stride, field.data(), length, task * COLUMNS,
                      std::min((task + 1) * COLUMNS, columns));
    });
}

double modes(const Array<const float, 1> &rows, const Array<const float, 1> &columns, const Array<const double, 2> &tilt,
             const Array<const float, 1> &amplitude, double na, double wavelength, double medium, double height,
             std::pair<double, double> step, const std::optional<Array<const float, 3>> &mixing,
             const Array<float, 4> &field, int threads) {
    const Frequencies frequencies = {rows.data(), columns.data(), static_cast<long>(rows.shape(0)),
                                     static_cast<long>(columns.shape(0))};
    const long points = amplitude.shape(0), count = mixing ? mixing->shape(0) : points;
    if (static_cast<long>(tilt.shape(0)) != points || tilt.shape(1) != 2 ||
        (mixing && (static_cast<long>(mixing->shape(1)) != points || mixing->shape(2) != 2))) {
        throw std::invalid_argument("expected tilt (S, 2) and mixing (J, S, 2) for S amplitudes; got other shapes");
    }
    if (static_cast<long>(field.shape(0)) != count || field.shape(1) != rows.shape(0) ||
        field.shape(2) != columns.shape(0) || field.shape(3) != 2) {
        throw std::invalid_argument("field must be (J, n, m, 2) for n rows and m columns; got another shape");
    }
    const Pupil pupil = {na / wavelength, std::sqrt(step.first * step.second), wavelength / medium, height};
    const Points source = {tilt.data(), amplitude.data(), points, mixing ? mixing->data() : nullptr, count};
    const ModesKernels &kernels = EXITWAVE_PICK(modes);
    const long tasks = (frequencies.rows + MODES_ROWS - 1) / MODES_ROWS;
    std::vector<float> off(tasks, 0.0f), sums(mixing ? modes_scratch(count) * std::max(1, threads) : 0);
    nb::gil_scoped_release released;
    parallel(tasks, threads, [&](long task, int worker) {
        off[task] = kernels.build(pupil, frequencies, source, task * MODES_ROWS,
                                   sums.data() + (mixing ? modes_scratch(count) * worker : 0), field.data());
    });
    return off.empty() ? 0.0 : *std::max_element(off.begin(), off.end());
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
    module.def("modes", &exitwave::modes, "rows"_a, "columns"_a, "tilt"_a, "amplitude"_a, "na"_a, "wavelength"_a,
               "medium"_a, "height"_a, "step"_a, "mixing"_a.none(), "field"_a, "threads"_a,
               "Fill `field` with a source's pupils, mixed or one by one; return how much their light is off at most.");
    module.def("turn_over", &exitwave::turn_over, "source"_a, "first"_a, "target"_a, "threads"_a,
               "Copy columns of `source` from `first` on to rows of `target`, as many as it has.");
    module.def("add_square", &exitwave::add_square, "field"_a, "weight"_a, "total"_a, "threads"_a,
               "Add weight * |field|^2 to `total`.");
}
