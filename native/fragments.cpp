// Fragments: where lines along z through samples enter and leave particles, and the adjoint.
//
// A particle's samples are laid out (sweep.h); of those, the ones that it covers are written one after the other. The
// adjoint starts from these, so that it never has to decide again which they are.
#include "fragments.h"
#include "box.h"
#include "crystal.h"
#include "disk.h"
#include "round.h"
#include "sweep.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

constexpr Asked SURFACE = Asked::surface;

long scratch_size(const Splat &splat) {
    return static_cast<long>(SCRATCH_ARRAYS + splat.channels) * PADDED + splat.channels * WIDTH + 2 * (ROWS + WIDTH) +
           4 * (CAPACITY + 1) + (splat.body == Body::crystal ? Crystal<SURFACE>::scratch(splat.columns) : 0);
}

template <class Shape>
void extent_of(const Splat &splat, int32_t begin, int32_t end, int32_t *rows, int64_t *samples, Scratch &scratch) {
    for (int32_t particle = begin; particle < end; ++particle) {
        const Shape shape(splat.rows + static_cast<long>(particle) * splat.columns, splat.columns, splat.cell,
                          scratch.body);
        find_extent(shape, splat, particle, rows + 2 * particle);
        samples[particle] = 0;
        const float cy = splat.position[2 * particle], cx = splat.position[2 * particle + 1];
        for (int32_t top = rows[2 * particle]; top < rows[2 * particle + 1]; top += ROWS) {
            const int32_t left = rows[2 * particle + 1] - top, count = left < ROWS ? left : ROWS;
            find_spans(shape, splat, cy, cx, top, count, scratch);
            for (int32_t row = 0; row < count; ++row) {
                samples[particle] += scratch.count[row];
            }
        }
    }
}

template <class Shape>
int64_t find_of(const Splat &splat, int32_t particle, const int32_t *rows, float touch, const FragmentArrays &to,
                Scratch &scratch) {
    const Shape shape(splat.rows + static_cast<long>(particle) * splat.columns, splat.columns, splat.cell,
                      scratch.body);
    const float altitude = splat.altitude[particle], scale = splat.scale[particle];
    // The arrays of the layout, under the names of what they hold here.
    float *const top = scratch.leave, *const bottom = scratch.enter, *const share = scratch.value;
    float *const slope_y = scratch.by_enter, *const slope_x = scratch.by_leave;
    int64_t found = 0;
    Sweep<Shape> sweep(shape, splat, particle, rows[0], rows[1], scratch);
    while (sweep.next(nullptr)) {
        for (int i = 0; i < sweep.used; i += WIDTH) {
            const auto point = shape.template at<false>(load_wide(scratch.y + i), load_wide(scratch.x + i));
            store(top + i, altitude + point.leave);
            store(bottom + i, altitude + point.entry);
            store(share + i, where(point.leave - point.entry > touch, scale * point.hit));
            store(slope_y + i, point.slope.y);
            store(slope_x + i, point.slope.x);
        }
        for (int number = 0; number < sweep.pieces; ++number) {
            const Piece piece = scratch.pieces[number];
            for (int32_t k = 0; k < piece.count; ++k) {
                const int32_t i = piece.offset + k;
                // Written in any case and kept if it counts: no branch to foresee.
                to.sample[found] = piece.place + k;
                to.top[found] = top[i];
                to.bottom[found] = bottom[i];
                to.slope_y[found] = slope_y[i];
                to.slope_x[found] = slope_x[i];
                to.share[found] = share[i];
                found += share[i] > 0.0f;
            }
        }
    }
    return found;
}

// Lays out the coordinates of up to CAPACITY fragments and what pulls at them, zero past the last.
EXITWAVE_INLINE void lay_out(const Splat &splat, float cy, float cx, const FragmentPull &pull, int64_t begin, int count,
                             Scratch &scratch) {
    const uint32_t width = static_cast<uint32_t>(splat.width);
    for (int i = 0; i < count; ++i) {
        const uint32_t place = static_cast<uint32_t>(pull.sample[begin + i]), row = place / width;
        scratch.y[i] = (static_cast<float>(row) - cy) * splat.dy;
        scratch.x[i] = (static_cast<float>(place - row * width) - cx) * splat.dx;
    }
    const float *const from[] = {pull.top, pull.bottom, pull.share, pull.slope_y, pull.slope_x};
    float *const to[] = {scratch.by_leave, scratch.by_enter, scratch.by_share, scratch.enter, scratch.leave};
    for (int one = 0; one < 5; ++one) {
        copy(to[one], from[one] + begin, count);
        store(to[one] + count, Wide{});
    }
    // Past the last fragment stands the middle of the particle.
    store(scratch.y + count, Wide{});
    store(scratch.x + count, Wide{});
}

template <class Shape>
void adjoint_of(const Splat &splat, int32_t particle, int64_t begin, int64_t end, const FragmentPull &pull,
                const SplatGradient &gradient, Scratch &scratch) {
    const Shape shape(splat.rows + static_cast<long>(particle) * splat.columns, splat.columns, splat.cell,
                      scratch.body);
    const float scale = splat.scale[particle], cy = splat.position[2 * particle], cx = splat.position[2 * particle + 1];
    typename Shape::Sums sums = shape.fresh();
    Wide by_cy{}, by_cx{}, by_scale{}, by_altitude{};
    for (; begin < end; begin += CAPACITY) {
        const int count = end - begin < CAPACITY ? static_cast<int>(end - begin) : CAPACITY;
        lay_out(splat, cy, cx, pull, begin, count, scratch);
        for (int i = 0; i < count; i += WIDTH) {
            const Wide y = load_wide(scratch.y + i), x = load_wide(scratch.x + i);
            const auto point = shape.template at<true>(y, x);
            const Wide by_leave = load_wide(scratch.by_leave + i), by_entry = load_wide(scratch.by_enter + i);
            const Wide by_share = load_wide(scratch.by_share + i);
            const Slope by_slope{load_wide(scratch.enter + i), load_wide(scratch.leave + i)};
            Wide by_y, by_x;
            shape.back(point, y, x, by_entry, by_leave, scale * by_share, by_slope, sums, by_y, by_x);
            by_cy += by_y;
            by_cx += by_x;
            by_scale += point.hit * by_share;
            by_altitude += by_leave + by_entry;
        }
    }
    shape.reduce(sums, gradient.rows + static_cast<long>(particle) * splat.columns);
    gradient.scale[particle] = total(by_scale);
    gradient.position[2 * particle] = -splat.dy * total(by_cy);
    gradient.position[2 * particle + 1] = -splat.dx * total(by_cx);
    gradient.altitude[particle] = total(by_altitude);
}

struct Faces {
    void (*extent)(const Splat &, int32_t, int32_t, int32_t *, int64_t *, Scratch &);
    int64_t (*find)(const Splat &, int32_t, const int32_t *, float, const FragmentArrays &, Scratch &);
    void (*adjoint)(const Splat &, int32_t, int64_t, int64_t, const FragmentPull &, const SplatGradient &, Scratch &);
};

template <class Shape> constexpr Faces faces() { return {extent_of<Shape>, find_of<Shape>, adjoint_of<Shape>}; }

// In the order of Body.
constexpr Faces FACES[] = {faces<Sphere<SURFACE>>(), faces<Ellipsoid<SURFACE>>(), faces<Rod<SURFACE>>(),
                           faces<Box<SURFACE>>(),    faces<Disk<SURFACE>>(),      faces<Crystal<SURFACE>>()};

const Faces &faces_of(const Splat &splat) { return FACES[static_cast<int>(splat.body)]; }

void extent(const Splat &splat, int32_t begin, int32_t end, int32_t *rows, int64_t *samples, float *memory) {
    Scratch scratch = scratch_at(splat, memory);
    faces_of(splat).extent(splat, begin, end, rows, samples, scratch);
}

int64_t find(const Splat &splat, int32_t particle, const int32_t *rows, float touch, const FragmentArrays &to,
             float *memory) {
    Scratch scratch = scratch_at(splat, memory);
    return faces_of(splat).find(splat, particle, rows, touch, to, scratch);
}

void adjoint(const Splat &splat, int32_t particle, int64_t begin, int64_t end, const FragmentPull &pull,
             const SplatGradient &gradient, float *memory) {
    Scratch scratch = scratch_at(splat, memory);
    faces_of(splat).adjoint(splat, particle, begin, end, pull, gradient, scratch);
}

} // namespace

const FragmentKernels fragments = {scratch_size, extent, find, adjoint};

} // namespace exitwave::EXITWAVE_LEVEL
