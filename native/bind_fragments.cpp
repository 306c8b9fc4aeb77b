// Fragments: their order, by samples and from the top down within one, and what light passes those above.
#include <algorithm>
#include <cstdint>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <stdexcept>
#include <vector>

namespace nb = nanobind;
using namespace nb::literals;

namespace exitwave {

namespace {

template <class T> using Given = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Order = nb::ndarray<int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

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
    module.def("order_fragments", &exitwave::order_fragments, "sample"_a, "top"_a, "samples"_a, "order"_a);
    module.def("pass_forward", &exitwave::pass_forward, "sample"_a, "through"_a, "above"_a, "below"_a);
    module.def("pass_adjoint", &exitwave::pass_adjoint, "sample"_a, "through"_a, "above"_a, "by_above"_a, "by_below"_a,
               "by_through"_a);
}
