// Python's side of rounds.cpp.
#include "parallel.h"
#include "rounds.h"

#include <algorithm>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <stdexcept>

namespace nb = nanobind;

namespace exitwave {
namespace {

template <class T> using Given = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <class T> using Made = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

constexpr long BLOCK = 16; // bodies of one task

template <class T> const RoundsFaces<T> &faces_of();
template <> const RoundsFaces<float> &faces_of<float>() { return EXITWAVE_PICK(rounds).single; }
template <> const RoundsFaces<double> &faces_of<double>() { return EXITWAVE_PICK(rounds).twofold; }

template <class T> Rounds<T> rounds_of(const Given<T> &rows, long faces, const Given<T> &y, const Given<T> &x) {
    const long columns = rows.shape(1), bodies = rows.shape(0), places = y.shape(1);
    const long edges = (columns - 4 * faces - 1) / 10;
    if (faces < 1 || edges < 1 || 10 * edges + 4 * faces + 1 != columns || static_cast<long>(y.shape(0)) != bodies ||
        static_cast<long>(x.shape(0)) != bodies || static_cast<long>(x.shape(1)) != places) {
        throw std::invalid_argument("expected rows (N, 10 K + 4 F + 1) and places (N, S), got others; call "
                                    "exitwave.specimen.rounds");
    }
    return {bodies, edges, faces, places, rows.data(), y.data(), x.data()};
}

void require(bool fits) {
    if (!fits) {
        throw std::invalid_argument("expected answers (2, N, S) or (N, S), got others; call exitwave.specimen.rounds");
    }
}

template <class Work> void each(long bodies, int threads, const Work &work) {
    nb::gil_scoped_release free;
    parallel((bodies + BLOCK - 1) / BLOCK, threads,
             [&](long block, int) { work(block * BLOCK, std::min((block + 1) * BLOCK, bodies)); });
}

template <class T>
void strike(const Given<T> &rows, long faces, const Given<T> &y, const Given<T> &x, const Made<int64_t> &edge,
            const Made<int64_t> &face, const Made<bool> &met, const Made<bool> &flat, int threads) {
    const Rounds<T> all = rounds_of<T>(rows, faces, y, x);
    const std::size_t size = 2 * y.size();
    require(edge.size() == size && face.size() == size && met.size() == size && flat.size() == size);
    const Struck to{edge.data(), face.data(), met.data(), flat.data()};
    each(all.bodies, threads, [&](long first, long last) { faces_of<T>().strike(all, first, last, to); });
}

template <class T>
void nearest(const Given<T> &rows, long faces, const Given<T> &y, const Given<T> &x, const Made<int64_t> &edge,
             const Made<int64_t> &line, const Made<bool> &outside, int threads) {
    const Rounds<T> all = rounds_of<T>(rows, faces, y, x);
    require(edge.size() == y.size() && line.size() == y.size() && outside.size() == y.size());
    const Nearest to{edge.data(), line.data(), outside.data()};
    each(all.bodies, threads, [&](long first, long last) { faces_of<T>().nearest(all, first, last, to); });
}

template <class T> void bind(nb::module_ &module) {
    using namespace nb::literals;
    module.def("strike", &strike<T>, "rows"_a, "faces"_a, "y"_a, "x"_a, "edge"_a, "face"_a, "met"_a, "flat"_a,
               "threads"_a, "Write what lines along z strike first from above and from below.");
    module.def("nearest", &nearest<T>, "rows"_a, "faces"_a, "y"_a, "x"_a, "edge"_a, "line"_a, "outside"_a,
               "threads"_a, "Write which edge is nearest to places in the plane, and which line is farthest behind.");
}

} // namespace
} // namespace exitwave

void bind_rounds(nb::module_ &module) {
    exitwave::bind<float>(module);
    exitwave::bind<double>(module);
}
