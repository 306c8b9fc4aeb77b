// Python's side of splat.cpp: particles are sorted into bands of rows, and the bands go to threads.
//
// Neither bands nor blocks depend on the number of threads. A band's pixels get their particles in order; a particle's
// gradient is summed by one thread. So results are the same bytes for any number of threads.
#include "bind_particles.h"
#include "parallel.h"

#include <algorithm>
#include <cstddef>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;

namespace exitwave {
namespace {

constexpr long BAND_BYTES = 1 << 19;      // of the maps that a band works on: they stay in the second-level cache
constexpr int32_t BLOCK = 256;            // particles of one task of the adjoint
constexpr int32_t LEAST = 32, MOST = 128; // rows of a band

// Particles listed per band: those of band b are members[offsets[b]] up to members[offsets[b + 1]].
struct Bands {
    int32_t rows;
    std::vector<int32_t> extent, members;
    std::vector<std::size_t> offsets;

    long count() const { return static_cast<long>(offsets.size()) - 1; }
};

// Lists the particles of every band that they touch, or only of the first where `once`; in order of their numbers.
Bands bands_of(const SplatKernels &kernels, const Splat &splat, Scratches &scratches, int threads, bool once) {
    const long row_bytes = 4L * splat.width * splat.channels * splat.planes;
    const long fitting = BAND_BYTES / std::max(1L, row_bytes);
    Bands bands{static_cast<int32_t>(std::clamp<long>(fitting, LEAST, MOST)), {}, {}, {}};
    bands.extent.resize(2 * static_cast<std::size_t>(splat.count));
    const long blocks = (splat.count + BLOCK - 1) / BLOCK;
    parallel(blocks, threads, [&](long block, int worker) {
        const int32_t begin = static_cast<int32_t>(block) * BLOCK;
        kernels.extent(splat, begin, std::min(begin + BLOCK, splat.count), bands.extent.data(), scratches.of(worker));
    });
    bands.offsets.assign((splat.height + bands.rows - 1) / bands.rows + 1, 0);
    const auto each = [&](auto &&visit) {
        for (int32_t particle = 0; particle < splat.count; ++particle) {
            const int32_t first = bands.extent[2 * particle], past = bands.extent[2 * particle + 1];
            if (first < past) {
                const int32_t last = once ? first : past - 1;
                for (int32_t band = first / bands.rows; band <= last / bands.rows; ++band) {
                    visit(particle, band);
                }
            }
        }
    };
    each([&](int32_t, int32_t band) { ++bands.offsets[band + 1]; });
    std::partial_sum(bands.offsets.begin(), bands.offsets.end(), bands.offsets.begin());
    bands.members.resize(bands.offsets.back());
    std::vector<std::size_t> next(bands.offsets.begin(), bands.offsets.end() - 1);
    each([&](int32_t particle, int32_t band) { bands.members[next[band]++] = particle; });
    return bands;
}

void require_weights(const Input &rows, std::size_t particles, std::size_t dimensions) {
    require(dimensions == 2 && particles == rows.shape(0),
            "expected weights (N, C), got another shape; call exitwave.raster.splat");
}

Splat splat_of(int body, const Input &rows, const Input &scale, const Input &position, const Input &altitude,
               const Input &weights, std::size_t planes, std::size_t height, std::size_t width,
               const nb::tuple &spacing, const nb::object &slabs) {
    Splat splat = particles_of(body, rows, scale, position, altitude, height, width, spacing);
    require_weights(rows, weights.shape(0), weights.ndim());
    splat.channels = static_cast<int32_t>(weights.shape(1));
    splat.planes = static_cast<int32_t>(planes);
    splat.thin = slabs.is_none();
    if (!splat.thin) {
        splat.first = nb::cast<float>(slabs[0]);
        splat.step = nb::cast<float>(slabs[1]);
    }
    splat.weights = weights.data();
    return splat;
}

template <class One> void require_maps(const One &maps, const Input &weights) {
    require(maps.ndim() == 4 && maps.shape(1) == weights.shape(1) && maps.shape(0) > 0,
            "expected maps (S, C, H, W), got another shape; call exitwave.raster.splat");
}

// Writes the sum of the particles to maps (S, C, H, W), or adds it to what they hold.
void forward(int body, const Input &rows, const Input &scale, const Input &position, const Input &altitude,
             const Input &weights, nb::tuple spacing, nb::object slabs, const Array &maps, bool add, int threads) {
    require_maps(maps, weights);
    const SplatKernels &kernels = EXITWAVE_PICK(splat);
    Splat splat = splat_of(body, rows, scale, position, altitude, weights, maps.shape(0), maps.shape(2),
                           maps.shape(3), spacing, slabs);
    splat.add = add;
    nb::gil_scoped_release free;
    Scratches scratches(kernels, splat, threads);
    const Bands bands = bands_of(kernels, splat, scratches, threads, false);
    parallel(bands.count(), threads, [&](long band, int worker) {
        const std::size_t begin = bands.offsets[band], end = bands.offsets[band + 1];
        const int32_t top = static_cast<int32_t>(band) * bands.rows;
        kernels.forward(splat, bands.members.data() + begin, static_cast<int32_t>(end - begin), bands.extent.data(),
                        top, std::min(top + bands.rows, splat.height), maps.data(), scratches.of(worker));
    });
}

// Writes the gradients by the first five arguments, given that by the maps; particles off the canvas keep theirs.
void adjoint(int body, const Input &rows, const Input &scale, const Input &position, const Input &altitude,
             const Input &weights, nb::tuple spacing, nb::object slabs, const Input &maps, const Array &by_rows,
             const Array &by_scale, const Array &by_position, const Array &by_altitude, const Array &by_weights,
             int threads) {
    require_maps(maps, weights);
    const SplatKernels &kernels = EXITWAVE_PICK(splat);
    const Splat splat = splat_of(body, rows, scale, position, altitude, weights, maps.shape(0), maps.shape(2),
                                 maps.shape(3), spacing, slabs);
    require_particles(by_rows, by_scale, by_position, by_altitude, rows.shape(0));
    require_weights(rows, by_weights.shape(0), by_weights.ndim());
    require(by_rows.shape(1) == rows.shape(1) && by_weights.shape(1) == weights.shape(1),
            "expected gradients shaped as their inputs, got other shapes; call exitwave.raster.splat");
    const SplatGradient gradient{by_rows.data(), by_scale.data(), by_position.data(), by_altitude.data(),
                                 by_weights.data()};
    nb::gil_scoped_release free;
    Scratches scratches(kernels, splat, threads);
    // Particles of one band after the other: what they read is still in the cache.
    const Bands bands = bands_of(kernels, splat, scratches, threads, true);
    const long found = static_cast<long>(bands.members.size());
    parallel((found + BLOCK - 1) / BLOCK, threads, [&](long block, int worker) {
        const long begin = block * BLOCK, end = std::min(begin + BLOCK, found);
        kernels.adjoint(splat, bands.members.data() + begin, static_cast<int32_t>(end - begin), bands.extent.data(),
                        maps.data(), gradient, scratches.of(worker));
    });
}

} // namespace
} // namespace exitwave

void bind_splat(nb::module_ &module) {
    using namespace nb::literals;
    module.def("splat_forward", &exitwave::forward, "body"_a, "rows"_a, "scale"_a, "position"_a, "altitude"_a,
               "weights"_a, "spacing"_a, "slabs"_a.none(), "maps"_a, "add"_a, "threads"_a,
               "Write the sum of chords to maps (S, C, H, W), or add it to what they hold.");
    module.def("splat_adjoint", &exitwave::adjoint, "body"_a, "rows"_a, "scale"_a, "position"_a, "altitude"_a,
               "weights"_a, "spacing"_a, "slabs"_a.none(), "maps"_a, "by_rows"_a, "by_scale"_a, "by_position"_a,
               "by_altitude"_a, "by_weights"_a, "threads"_a, "Write the gradients of splat_forward.");
}
