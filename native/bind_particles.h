// What the Python sides of kernels over particles share: arrays of particles, checked, and every worker's memory.
#pragma once

#include "splat.h"

#include <algorithm>
#include <cstddef>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <stdexcept>
#include <vector>

namespace exitwave {

using Array = nanobind::ndarray<float, nanobind::c_contig, nanobind::device::cpu>;
using Input = nanobind::ndarray<const float, nanobind::c_contig, nanobind::device::cpu>;

// Every worker's scratch memory, none shared.
class Scratches {
  public:
    template <class Kernels>
    Scratches(const Kernels &kernels, const Splat &splat, int threads)
        : size_(kernels.scratch(splat)), memory_(static_cast<std::size_t>(size_) * std::max(threads, 1)) {}

    float *of(int worker) { return memory_.data() + size_ * worker; }

  private:
    long size_;
    std::vector<float> memory_;
};

inline void require(bool fits, const char *message) {
    if (!fits) {
        throw std::invalid_argument(message);
    }
}

// Four arrays of the same particles: (N, K), (N,), (N, 2) and (N,).
template <class One>
void require_particles(const One &rows, const One &scale, const One &position, const One &altitude, std::size_t count) {
    require(rows.ndim() == 2 && rows.shape(0) == count && scale.ndim() == 1 && scale.shape(0) == count &&
                position.ndim() == 2 && position.shape(0) == count && position.shape(1) == 2 && altitude.ndim() == 1 &&
                altitude.shape(0) == count,
            "expected rows (N, K), scale (N,), position (N, 2) and altitude (N,), got other shapes; call "
            "exitwave.raster.splat or fragments");
}

// Particles on a canvas, without weights and slabs.
inline Splat particles_of(int body, const Input &rows, const Input &scale, const Input &position, const Input &altitude,
                          std::size_t height, std::size_t width, const nanobind::tuple &spacing) {
    require(rows.ndim() == 2, "expected rows (N, K), got another shape; call exitwave.raster.splat or fragments");
    require_particles(rows, scale, position, altitude, rows.shape(0));
    constexpr long columns[] = {1, 6, 6, 18, 6};
    require(body >= 0 && body <= static_cast<int>(Body::crystal) &&
                (body < 5 ? static_cast<long>(rows.shape(1)) == columns[body] : rows.shape(1) % 8 == 0),
            "expected rows as this body's `prepare` makes them, got another number of columns; call "
            "exitwave.raster.splat or fragments");
    Splat splat{};
    splat.body = static_cast<Body>(body);
    splat.count = static_cast<int32_t>(rows.shape(0));
    splat.columns = static_cast<int32_t>(rows.shape(1));
    splat.thin = true;
    splat.height = static_cast<int32_t>(height);
    splat.width = static_cast<int32_t>(width);
    splat.dy = nanobind::cast<float>(spacing[0]);
    splat.dx = nanobind::cast<float>(spacing[1]);
    splat.cell = nanobind::cast<float>(spacing[2]);
    splat.rows = rows.data();
    splat.scale = scale.data();
    splat.position = position.data();
    splat.altitude = altitude.data();
    return splat;
}

} // namespace exitwave
