// Python's side of camera.cpp.
#include "camera.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <stdexcept>

// No threads here: a block takes less time than it takes to start one.

namespace nb = nanobind;
using namespace nb::literals;

namespace exitwave {

namespace {

template <size_t axes> using Given = nb::ndarray<const float, nb::ndim<axes>, nb::c_contig, nb::device::cpu>;
using Result = nb::ndarray<float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

template <class Array> void require_shape(const Array &array, const Result &like) {
    if (array.shape(0) != like.shape(0) || array.shape(1) != like.shape(1)) {
        throw std::invalid_argument("every block must have the shape of the result; got another shape");
    }
}

Numbers numbers(const Given<2> &given, const Result &like) {
    if ((given.shape(0) != 1 && given.shape(0) != like.shape(0)) || given.shape(1) != like.shape(1)) {
        throw std::invalid_argument("gain, offset and read_noise must be (1, m) or (n, m) for n rows; got others");
    }
    return {given.data(), given.shape(0) == 1 ? 0 : static_cast<long>(given.shape(1))};
}

bool shot(const Given<2> &image, const Given<1> &down, const Given<1> &across, float bright, float vignette, float few,
          const Result &drawn) {
    require_shape(image, drawn);
    if (down.shape(0) != drawn.shape(0) || across.shape(0) != drawn.shape(1)) {
        throw std::invalid_argument("down and across must have n and m numbers for a block (n, m); got others");
    }
    const Shade shade = {down.data(), across.data(), bright, vignette};
    const CameraKernels &kernels = EXITWAVE_PICK(camera);
    nb::gil_scoped_release released;
    return kernels.shot(shade, image.data(), few, drawn.data(), drawn.shape(0), drawn.shape(1));
}

void convert(const Given<2> &electrons, const Given<2> &noise, const Given<2> &gain, const Given<2> &offset,
             const Given<2> &read_noise, float full, float white, const Result &counts) {
    require_shape(electrons, counts);
    require_shape(noise, counts);
    const Converter with = {numbers(gain, counts), numbers(offset, counts), numbers(read_noise, counts), full, white};
    const CameraKernels &kernels = EXITWAVE_PICK(camera);
    nb::gil_scoped_release released;
    kernels.convert(with, electrons.data(), noise.data(), counts.data(), counts.shape(0), counts.shape(1));
}

} // namespace

} // namespace exitwave

void bind_camera(nb::module_ &module) {
    module.def("shot_noise", &exitwave::shot, "image"_a, "down"_a, "across"_a, "bright"_a, "vignette"_a, "few"_a,
               "drawn"_a, "Turn normal numbers in `drawn` into electrons; return whether any pixel expects too few.");
    module.def("convert", &exitwave::convert, "electrons"_a, "noise"_a, "gain"_a, "offset"_a, "read_noise"_a, "full"_a,
               "white"_a, "counts"_a, "Fill `counts` with what a camera reads from electrons and normal numbers.");
}
