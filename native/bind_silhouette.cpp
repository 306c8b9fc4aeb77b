// Python's side of silhouette.cpp.
#include "silhouette.h"
#include "parallel.h"

#include <algorithm>
#include <limits>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace exitwave {

namespace {

// Bodies, and rows of the image, that one task takes on.
constexpr long GROUP = 64;
constexpr long BAND = 32;

template <class Number, size_t axes>
using Array = nb::ndarray<Number, nb::ndim<axes>, nb::c_contig, nb::device::cpu>;

// The rows in the image of every body, and where their spans start in one long list.
struct Layout {
    std::vector<Extent> extents;
    std::vector<long> starts;
    long height;

    int32_t top(long member) const {
        return static_cast<int32_t>(std::clamp<int64_t>(extents[member].top, 0, height));
    }

    int32_t bottom(long member) const {
        return static_cast<int32_t>(std::clamp<int64_t>(extents[member].bottom, top(member), height));
    }
};

// Calls work(member, scratch) for all bodies.
template <class Work>
void over_bodies(long count, int threads, double *scratch, long stride, const Work &work) {
    parallel((count + GROUP - 1) / GROUP, threads, [&](long task, int worker) {
        for (long member = task * GROUP; member < std::min(count, (task + 1) * GROUP); ++member) {
            work(member, scratch + worker * stride);
        }
    });
}

// The bodies that reach into every band of rows, in order: those of band b from starts[b] to starts[b + 1].
struct Bands {
    std::vector<long> starts;
    std::vector<long> members;

    Bands(const Layout &layout, long count, long bands) : starts(bands + 2) {
        for (long member = 0; member < count; ++member) {
            over(layout, member, [&](long band) { ++starts[band + 2]; });
        }
        for (long band = 2; band < bands + 2; ++band) {
            starts[band] += starts[band - 1];
        }
        members.resize(starts[bands + 1]);
        for (long member = 0; member < count; ++member) {
            over(layout, member, [&](long band) { members[starts[band + 1]++] = member; });
        }
    }

    template <class Work> static void over(const Layout &layout, long member, const Work &work) {
        const long top = layout.top(member), bottom = layout.bottom(member);
        for (long band = top / BAND; top < bottom && band <= (bottom - 1) / BAND; ++band) {
            work(band);
        }
    }
};

void cover(int body, const Array<const double, 2> &rows, const Array<const double, 2> &position,
           const Array<const double, 1> &altitude, std::pair<double, double> pixel, double touch, int first,
           const Array<float, 2> &depth, const Array<int32_t, 2> &ids, const Array<int64_t, 1> &area,
           const Array<int64_t, 1> &inside, int threads) {
    const size_t number = rows.shape(0), columns = rows.shape(1);
    // Columns of `rows` of every body; a crystal has eight for each face.
    constexpr size_t expected[] = {1, 6, 6, 18, 6, 8};
    if (body < 0 || body > 5 || (body < 5 ? columns != expected[body] : columns == 0 || columns % 8 != 0)) {
        throw std::invalid_argument("expected a body from 0 to 5 and as many columns as its rows have; got others");
    }
    if (position.shape(0) != number || position.shape(1) != 2 || altitude.shape(0) != number ||
        area.shape(0) != number || inside.shape(0) != number || depth.shape(0) != ids.shape(0) ||
        depth.shape(1) != ids.shape(1) ||
        std::max(depth.shape(0), depth.shape(1)) > static_cast<size_t>(std::numeric_limits<int32_t>::max() / 2)) {
        throw std::invalid_argument("expected one row per body in all arrays and two images of one shape; got others");
    }
    const Silhouettes all = {static_cast<Body>(body),
                             static_cast<int32_t>(columns),
                             static_cast<int32_t>(depth.shape(0)),
                             static_cast<int32_t>(depth.shape(1)),
                             pixel.first,
                             pixel.second,
                             touch,
                             rows.data(),
                             position.data(),
                             altitude.data()};
    const long count = static_cast<long>(number), stride = silhouette_scratch(all.columns);
    const SilhouetteKernels &kernels = EXITWAVE_PICK(silhouette);
    nb::gil_scoped_release released;
    std::vector<double> scratch(stride * std::max(threads, 1));
    Layout layout = {std::vector<Extent>(count), std::vector<long>(count + 1), all.height};
    over_bodies(count, threads, scratch.data(), stride, [&](long member, double *own) {
        layout.extents[member] = kernels.extent(all, member, own);
    });
    for (long member = 0; member < count; ++member) {
        layout.starts[member + 1] = layout.starts[member] + layout.bottom(member) - layout.top(member);
    }
    std::vector<Span> spans(layout.starts[count]);
    over_bodies(count, threads, scratch.data(), stride, [&](long member, double *own) {
        const Count found =
            kernels.trace(all, member, layout.extents[member], spans.data() + layout.starts[member], own);
        area.data()[member] = found.all;
        inside.data()[member] = found.inside;
    });
    const long bands = (all.height + BAND - 1) / BAND;
    const Bands listed(layout, count, bands);
    parallel(bands, threads, [&](long band, int worker) {
        for (long entry = listed.starts[band]; entry < listed.starts[band + 1]; ++entry) {
            const long member = listed.members[entry];
            const int32_t top = std::max(layout.top(member), static_cast<int32_t>(band * BAND));
            const int32_t bottom = std::min(layout.bottom(member), static_cast<int32_t>((band + 1) * BAND));
            kernels.draw(all, member, static_cast<int32_t>(first + member), top, bottom,
                         spans.data() + layout.starts[member] + top - layout.top(member), depth.data(), ids.data(),
                         scratch.data() + worker * stride);
        }
    });
}

} // namespace

} // namespace exitwave

void bind_silhouette(nb::module_ &module) {
    module.def("cover", &exitwave::cover, "body"_a, "rows"_a, "position"_a, "altitude"_a, "pixel"_a, "touch"_a,
               "first"_a, "depth"_a, "ids"_a, "area"_a, "inside"_a, "threads"_a,
               "Draw bodies into `depth` and `ids`, counted from `first`, and count the pixels that each covers.");
}
