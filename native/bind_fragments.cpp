// Python's side of fragments.cpp; and the order of fragments, by samples and from the top down within one, and what
// light passes those above.
#include "bind_particles.h"
#include "fragments.h"
#include "parallel.h"

#include <cstdint>
#include <cstring>
#include <numeric>

namespace nb = nanobind;
using namespace nb::literals;

namespace exitwave {

namespace {

template <class T> using Given = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Order = nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

using Count = nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Rows = nb::ndarray<int32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

constexpr int32_t BLOCK = 64; // particles of one task

int32_t blocks(const Splat &splat) { return (splat.count + BLOCK - 1) / BLOCK; }

template <class Work> void each(const Splat &splat, int threads, const Work &work) {
    parallel(blocks(splat), threads, [&](long block, int worker) {
        const int32_t begin = static_cast<int32_t>(block) * BLOCK;
        work(begin, std::min(begin + BLOCK, splat.count), worker);
    });
}

// Writes the rows of the canvas that every particle reaches (N, 2), and at most how many fragments it has (N,).
void fragment_extents(int body, const Input &rows, const Input &scale, const Input &position, const Input &altitude,
                      std::size_t height, std::size_t width, const nb::tuple &spacing, const Rows &extent,
                      const Count &most, int threads) {
    const FragmentKernels &kernels = EXITWAVE_PICK(fragments);
    const Splat splat = particles_of(body, rows, scale, position, altitude, height, width, spacing);
    require(extent.shape(0) == rows.shape(0) && extent.shape(1) == 2 && most.shape(0) == rows.shape(0) &&
                height * width < (std::size_t{1} << 32),
            "expected extents (N, 2) and counts (N,) of a canvas of up to 2^32 samples, got others; call "
            "exitwave.raster.fragments");
    nb::gil_scoped_release free;
    Scratches scratches(kernels, splat, threads);
    each(splat, threads, [&](int32_t begin, int32_t end, int worker) {
        kernels.extent(splat, begin, end, extent.data(), most.data(), scratches.of(worker));
    });
}

// Writes the fragments of all particles one after the other, and how many each has (N,); what was expected of each is
// in `count` before. Arrays hold as many as were expected.
void find_fragments(int body, const Input &rows, const Input &scale, const Input &position, const Input &altitude,
                    std::size_t height, std::size_t width, const nb::tuple &spacing, float touch, const Rows &extent,
                    const Count &count, const Count &sample, const Array &top, const Array &bottom, const Array &slope,
                    const Array &share, int threads) {
    const FragmentKernels &kernels = EXITWAVE_PICK(fragments);
    const Splat splat = particles_of(body, rows, scale, position, altitude, height, width, spacing);
    require(extent.shape(0) == rows.shape(0) && count.shape(0) == rows.shape(0), "expected extents of all particles, "
            "got another number; call exitwave.raster.fragments");
    std::vector<int64_t> first(splat.count + 1, 0);
    std::partial_sum(count.data(), count.data() + splat.count, first.begin() + 1);
    const std::size_t whole = first.back();
    require(sample.size() == whole && top.size() == whole && bottom.size() == whole && slope.size() == 2 * whole &&
                share.size() == whole,
            "expected arrays for as many fragments as were counted, got others; call exitwave.raster.fragments");
    const FragmentArrays all{sample.data(), top.data(), bottom.data(), slope.data(), slope.data() + whole,
                             share.data()};
    nb::gil_scoped_release free;
    Scratches scratches(kernels, splat, threads);
    each(splat, threads, [&](int32_t begin, int32_t end, int worker) {
        for (int32_t particle = begin; particle < end; ++particle) {
            const int64_t at = first[particle];
            const FragmentArrays own{all.sample + at,  all.top + at,     all.bottom + at,
                                     all.slope_y + at, all.slope_x + at, all.share + at};
            count.data()[particle] =
                kernels.find(splat, particle, extent.data() + 2 * particle, touch * splat.cell, own,
                             scratches.of(worker));
        }
    });
    // Moved together: less was found than there was room for.
    int64_t to = 0;
    for (int32_t particle = 0; particle < splat.count; ++particle) {
        const int64_t from = first[particle], found = count.data()[particle];
        std::memmove(all.sample + to, all.sample + from, found * sizeof(int64_t));
        for (float *one : {all.top, all.bottom, all.slope_y, all.slope_x, all.share}) {
            std::memmove(one + to, one + from, found * sizeof(float));
        }
        to += found;
    }
}

// Writes the gradients by the arrays of particles, given those by the fragments that each has.
void fragments_adjoint(int body, const Input &rows, const Input &scale, const Input &position, const Input &altitude,
                       std::size_t height, std::size_t width, const nb::tuple &spacing, const Given<int64_t> &count,
                       const Given<int64_t> &sample, const Input &by_top, const Input &by_bottom,
                       const Input &by_slope, const Input &by_share, const Array &by_rows, const Array &by_scale,
                       const Array &by_position, const Array &by_altitude, int threads) {
    const FragmentKernels &kernels = EXITWAVE_PICK(fragments);
    const Splat splat = particles_of(body, rows, scale, position, altitude, height, width, spacing);
    require_particles(by_rows, by_scale, by_position, by_altitude, rows.shape(0));
    require(by_rows.shape(1) == rows.shape(1) && count.shape(0) == rows.shape(0),
            "expected gradients shaped as their inputs, got other shapes; call exitwave.raster.fragments");
    std::vector<int64_t> first(splat.count + 1, 0);
    std::partial_sum(count.data(), count.data() + splat.count, first.begin() + 1);
    const std::size_t whole = first.back();
    require(sample.size() == whole && by_top.size() == whole && by_bottom.size() == whole &&
                by_slope.size() == 2 * whole && by_share.size() == whole,
            "expected gradients by as many fragments as were found, got others; call exitwave.raster.fragments");
    const FragmentPull pull{sample.data(),   by_top.data(),           by_bottom.data(),
                            by_slope.data(), by_slope.data() + whole, by_share.data()};
    const SplatGradient gradient{by_rows.data(), by_scale.data(), by_position.data(), by_altitude.data(), nullptr};
    nb::gil_scoped_release free;
    Scratches scratches(kernels, splat, threads);
    each(splat, threads, [&](int32_t begin, int32_t end, int worker) {
        for (int32_t particle = begin; particle < end; ++particle) {
            if (first[particle] < first[particle + 1]) {
                kernels.adjoint(splat, particle, first[particle], first[particle + 1], pull, gradient,
                                scratches.of(worker));
            }
        }
    });
}

// Counts the fragments of every sample, puts each into its sample's places, and sorts those few by insertion. Equal
// heights stay in the order they came in.
void order_fragments(const Given<int64_t> &sample, const Given<float> &top, long samples, const Order &order) {
    const long count = sample.shape(0);
    if (top.shape(0) != sample.shape(0) || order.shape(0) != sample.shape(0)) {
        throw std::invalid_argument("samples, heights and their order must be of one length; got others");
    }
    const int64_t *const from = sample.data();
    const float *const high = top.data();
    int64_t *const to = order.data();
    if (std::any_of(from, from + count, [=](int64_t place) { return place < 0 || place >= samples; })) {
        throw std::invalid_argument("samples must be numbers of the canvas's samples; got others");
    }
    nb::gil_scoped_release release;
    std::vector<int64_t> first(samples + 1, 0);
    for (long i = 0; i < count; ++i) {
        ++first[from[i] + 1];
    }
    for (long place = 0; place < samples; ++place) {
        first[place + 1] += first[place];
    }
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (long i = 0; i < count; ++i) {
        const int64_t begin = first[from[i]];
        int64_t place = next[from[i]]++;
        for (; place > begin && high[to[place - 1]] < high[i]; --place) {
            to[place] = to[place - 1];
        }
        to[place] = i;
    }
}

using Numbers = Given<float>;
using Result = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// above[i] is the product of `through` over the fragments before i of its sample, below[m] that over all of sample m.
void pass_forward(const Given<int64_t> &sample, const Numbers &through, const Result &above, const Result &below) {
    const long count = sample.shape(0);
    const int64_t *const at = sample.data();
    const float *const from = through.data();
    float *const to = above.data(), *const rest = below.data();
    nb::gil_scoped_release release;
    long samples = 0;
    for (long i = 0; i < count; ++samples) {
        float left = 1;
        for (const int64_t here = at[i]; i < count && at[i] == here; ++i) {
            to[i] = left;
            left *= from[i];
        }
        rest[samples] = left;
    }
}

// From the last fragment of a sample up: what everything behind makes of the light that comes to it. No quotients, so
// that what is opaque has its derivative too.
void pass_adjoint(const Given<int64_t> &sample, const Numbers &through, const Numbers &above, const Numbers &by_above,
                  const Numbers &by_below, const Result &by_through) {
    const int64_t *const at = sample.data();
    long m = by_below.shape(0);
    nb::gil_scoped_release release;
    float behind = 0;
    for (long i = sample.shape(0) - 1; i >= 0; --i) {
        if (i + 1 == static_cast<long>(sample.shape(0)) || at[i] != at[i + 1]) {
            behind = by_below.data()[--m];
        }
        by_through.data()[i] = above.data()[i] * behind;
        behind = by_above.data()[i] + through.data()[i] * behind;
    }
}

} // namespace

} // namespace exitwave

void bind_fragments(nb::module_ &module) {
    module.def("fragment_extents", &exitwave::fragment_extents, "body"_a, "rows"_a, "scale"_a, "position"_a,
               "altitude"_a, "height"_a, "width"_a, "spacing"_a, "extent"_a, "most"_a, "threads"_a,
               "Write the rows that particles reach (N, 2), and at most how many fragments they have (N,).");
    module.def("find_fragments", &exitwave::find_fragments, "body"_a, "rows"_a, "scale"_a, "position"_a, "altitude"_a,
               "height"_a, "width"_a, "spacing"_a, "touch"_a, "extent"_a, "count"_a, "sample"_a, "top"_a, "bottom"_a,
               "slope"_a, "share"_a, "threads"_a, "Write the fragments of particles, and how many each has.");
    module.def("fragments_adjoint", &exitwave::fragments_adjoint, "body"_a, "rows"_a, "scale"_a, "position"_a,
               "altitude"_a, "height"_a, "width"_a, "spacing"_a, "count"_a, "sample"_a, "by_top"_a, "by_bottom"_a,
               "by_slope"_a, "by_share"_a, "by_rows"_a, "by_scale"_a, "by_position"_a, "by_altitude"_a, "threads"_a,
               "Write the gradients of find_fragments.");
    module.def("order_fragments", &exitwave::order_fragments, "sample"_a, "top"_a, "samples"_a, "order"_a);
    module.def("pass_forward", &exitwave::pass_forward, "sample"_a, "through"_a, "above"_a, "below"_a);
    module.def("pass_adjoint", &exitwave::pass_adjoint, "sample"_a, "through"_a, "above"_a, "by_above"_a, "by_below"_a,
               "by_through"_a);
}
