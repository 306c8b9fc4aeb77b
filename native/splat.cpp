// Splatting: chords of particles added into maps, and the adjoint.
//
// A particle's samples are laid out (sweep.h), their chords computed and added to the maps row by row. The adjoint lays
// out the maps' gradients in the same way.
#include "splat.h"
#include "box.h"
#include "crystal.h"
#include "disk.h"
#include "round.h"
#include "slabs.h"
#include "sweep.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

long scratch_size(const Splat &splat) {
    return static_cast<long>(SCRATCH_ARRAYS + splat.channels) * PADDED + splat.channels * WIDTH + 2 * (ROWS + WIDTH) +
           4 * (CAPACITY + 1) + (splat.body == Body::crystal ? Crystal<>::scratch(splat.columns) : 0);
}

// The heights of both ends of the chords of a round and the part of the cell hit times scale, in `enter`, `leave` and
// `value`; returns the planes that they fall on.
template <class Shape>
EXITWAVE_INLINE Plane find_ends(const Shape &shape, const Splat &splat, int32_t particle, int used, Scratch &scratch) {
    Wide low = all_wide(1.0f / 0.0f), high = all_wide(-1.0f / 0.0f);
    const float altitude = splat.altitude[particle], scale = splat.scale[particle];
    for (int i = 0; i < used; i += WIDTH) {
        const auto point = shape.template at<false>(load_wide(scratch.y + i), load_wide(scratch.x + i));
        const Wide enter = altitude + point.entry, leave = enter + greater(point.leave - point.entry, Wide{});
        const Mask drawn = (point.leave > point.entry) & (point.hit > 0.0f);
        low = lesser(select(drawn, enter, low), low);
        high = greater(select(drawn, leave, high), high);
        store(scratch.enter + i, enter);
        store(scratch.leave + i, leave);
        store(scratch.value + i, scale * point.hit);
    }
    return Plane(splat, lowest(low), highest(high));
}

// Adds the round's values times the weights to all channels of one plane.
EXITWAVE_INLINE void add_round(const Splat &splat, int32_t particle, const Scratch &scratch, const float *values,
                               int pieces, float *plane) {
    const float *weights = splat.weights + static_cast<long>(particle) * splat.channels;
    for (int channel = 0; channel < splat.channels; ++channel) {
        for (int number = 0; number < pieces; ++number) {
            const Piece piece = scratch.pieces[number];
            add_scaled(plane + piece.place, values + piece.offset, weights[channel], piece.count);
        }
        plane += static_cast<long>(splat.height) * splat.width;
    }
}

template <class Shape>
EXITWAVE_INLINE void forward_one(const Splat &splat, int32_t particle, int top, int bottom, float *maps,
                                 Scratch &scratch) {
    const Shape shape(splat.rows + static_cast<long>(particle) * splat.columns, splat.columns, splat.cell,
                      scratch.body);
    const float scale = splat.scale[particle];
    const long size = static_cast<long>(splat.channels) * splat.height * splat.width;
    Sweep<Shape> sweep(shape, splat, particle, top, bottom, scratch);
    while (sweep.next(maps)) {
        if (splat.thin) {
            for (int i = 0; i < sweep.used; i += WIDTH) {
                const auto point = shape.template at<false>(load_wide(scratch.y + i), load_wide(scratch.x + i));
                store(scratch.value + i, scale * point.hit * greater(point.leave - point.entry, Wide{}));
            }
            add_round(splat, particle, scratch, scratch.value, sweep.pieces, maps);
            continue;
        }
        const Plane planes = find_ends(shape, splat, particle, sweep.used, scratch);
        for (int plane = planes.first; plane <= planes.last; ++plane) {
            for (int i = 0; i < sweep.used; i += WIDTH) {
                const Wide over = Plane::integral(splat, plane, place_on(splat, plane, load_wide(scratch.leave + i)));
                const Wide under = Plane::integral(splat, plane, place_on(splat, plane, load_wide(scratch.enter + i)));
                store(scratch.by_share + i, splat.step * load_wide(scratch.value + i) * (over - under));
            }
            add_round(splat, particle, scratch, scratch.by_share, sweep.pieces, maps + plane * size);
        }
    }
}

// Lays out the gradients of one plane's channels at the samples of a round, zero past the last.
EXITWAVE_INLINE void gather(const Splat &splat, const Scratch &scratch, int pieces, int used, const float *plane) {
    const long size = static_cast<long>(splat.height) * splat.width;
    for (int channel = 0; channel < splat.channels; ++channel) {
        float *pull = scratch.pull + channel * PADDED;
        for (int number = 0; number < pieces; ++number) {
            const Piece piece = scratch.pieces[number];
            copy(pull + piece.offset, plane + piece.place, piece.count);
        }
        store(pull + used, Wide{}); // what lies past the last sample pulls at nothing
        plane += size;
    }
}

// The gradient by a sample's value, the channels' sum; `value` times each channel's is added to that by its weight.
EXITWAVE_INLINE Wide pull_of(const Splat &splat, const float *weights, const Scratch &scratch, int i, Wide value) {
    Wide found{};
    for (int channel = 0; channel < splat.channels; ++channel) {
        const Wide gradient = load_wide(scratch.pull + channel * PADDED + i);
        float *sum = scratch.by_weight + channel * WIDTH;
        found += weights[channel] * gradient;
        store(sum, load_wide(sum) + value * gradient);
    }
    return found;
}

// The gradients by the heights of both ends and by the part of the cell hit, summed over planes, for a round with
// slabs.
EXITWAVE_INLINE void gather_slabs(const Splat &splat, const float *weights, const Plane &planes, Scratch &scratch,
                                  int pieces, int used, const float *maps) {
    const long size = static_cast<long>(splat.channels) * splat.height * splat.width;
    for (int i = 0; i < used; i += WIDTH) {
        store(scratch.by_enter + i, Wide{});
        store(scratch.by_leave + i, Wide{});
        store(scratch.by_share + i, Wide{});
    }
    for (int plane = planes.first; plane <= planes.last; ++plane) {
        gather(splat, scratch, pieces, used, maps + plane * size);
        for (int i = 0; i < used; i += WIDTH) {
            const Wide leave = place_on(splat, plane, load_wide(scratch.leave + i));
            const Wide enter = place_on(splat, plane, load_wide(scratch.enter + i));
            const Wide length =
                splat.step * (Plane::integral(splat, plane, leave) - Plane::integral(splat, plane, enter));
            const Wide share = load_wide(scratch.value + i), pull = pull_of(splat, weights, scratch, i, share * length);
            store(scratch.by_leave + i,
                  load_wide(scratch.by_leave + i) + share * pull * Plane::hat(splat, plane, leave));
            store(scratch.by_enter + i,
                  load_wide(scratch.by_enter + i) - share * pull * Plane::hat(splat, plane, enter));
            store(scratch.by_share + i, load_wide(scratch.by_share + i) + pull * length);
        }
    }
}

template <class Shape>
EXITWAVE_INLINE void adjoint_one(const Splat &splat, int32_t particle, int top, int bottom, const float *maps,
                                 const SplatGradient &gradient, Scratch &scratch) {
    const Shape shape(splat.rows + static_cast<long>(particle) * splat.columns, splat.columns, splat.cell,
                      scratch.body);
    const float scale = splat.scale[particle];
    const float *weights = splat.weights + static_cast<long>(particle) * splat.channels;
    typename Shape::Sums sums = shape.fresh();
    Wide by_cy{}, by_cx{}, by_scale{}, by_altitude{};
    for (int channel = 0; channel < splat.channels; ++channel) {
        store(scratch.by_weight + channel * WIDTH, Wide{});
    }
    Sweep<Shape> sweep(shape, splat, particle, top, bottom, scratch);
    while (sweep.next(maps)) {
        if (splat.thin) {
            gather(splat, scratch, sweep.pieces, sweep.used, maps);
        } else {
            const Plane planes = find_ends(shape, splat, particle, sweep.used, scratch);
            gather_slabs(splat, weights, planes, scratch, sweep.pieces, sweep.used, maps);
        }
        for (int i = 0; i < sweep.used; i += WIDTH) {
            const Wide y = load_wide(scratch.y + i), x = load_wide(scratch.x + i);
            const auto point = shape.template at<true>(y, x);
            const Wide chord = point.leave - point.entry;
            Wide by_share, by_leave, by_entry, by_y, by_x;
            if (splat.thin) {
                const Wide length = greater(chord, Wide{});
                const Wide pull = pull_of(splat, weights, scratch, i, scale * point.hit * length);
                by_share = pull * length;
                by_leave = where(chord >= 0.0f, scale * point.hit * pull);
                by_entry = -by_leave;
            } else {
                const Mask drawn = chord >= 0.0f;
                by_share = load_wide(scratch.by_share + i);
                by_leave = where(drawn, load_wide(scratch.by_leave + i));
                by_entry = where(drawn, load_wide(scratch.by_enter + i));
                by_altitude += by_leave + by_entry;
            }
            by_scale += point.hit * by_share;
            shape.back(point, y, x, by_entry, by_leave, scale * by_share, Slope{}, sums, by_y, by_x);
            by_cy += by_y;
            by_cx += by_x;
        }
    }
    shape.reduce(sums, gradient.rows + static_cast<long>(particle) * splat.columns);
    gradient.scale[particle] = total(by_scale);
    gradient.position[2 * particle] = -splat.dy * total(by_cy);
    gradient.position[2 * particle + 1] = -splat.dx * total(by_cx);
    gradient.altitude[particle] = total(by_altitude);
    for (int channel = 0; channel < splat.channels; ++channel) {
        gradient.weights[static_cast<long>(particle) * splat.channels + channel] =
            total(load_wide(scratch.by_weight + channel * WIDTH));
    }
}

template <class Shape> void extent_of(const Splat &splat, int32_t begin, int32_t end, int32_t *rows, float *memory) {
    for (int32_t particle = begin; particle < end; ++particle) {
        const Shape shape(splat.rows + static_cast<long>(particle) * splat.columns, splat.columns, splat.cell, memory);
        find_extent(shape, splat, particle, rows + 2 * particle);
    }
}

constexpr int AHEAD = 4; // particles that are fetched into the cache before their turn

// Particles of a band lie scattered: the processor cannot foresee where the next one is.
EXITWAVE_INLINE void fetch(const Splat &splat, const int32_t *members, int32_t number, int32_t count,
                           const int32_t *rows) {
    if (number >= count) {
        return;
    }
    const long particle = members[number];
    const float *row = splat.rows + particle * splat.columns;
    for (int column = 0; column < splat.columns; column += 16) {
        __builtin_prefetch(row + column);
    }
    __builtin_prefetch(splat.scale + particle);
    __builtin_prefetch(splat.position + 2 * particle);
    __builtin_prefetch(splat.weights + particle * splat.channels);
    __builtin_prefetch(rows + 2 * particle);
}

template <class Shape>
void forward_of(const Splat &splat, const int32_t *members, int32_t count, const int32_t *rows, int32_t top,
                int32_t bottom, float *maps, float *memory) {
    Scratch scratch = scratch_at(splat, memory);
    // Whoever adds to these rows next finds them in the cache.
    for (long map = 0; !splat.add && map < static_cast<long>(splat.planes) * splat.channels; ++map) {
        float *row = maps + (map * splat.height + top) * splat.width;
        __builtin_memset(row, 0, sizeof(float) * static_cast<long>(bottom - top) * splat.width);
    }
    for (int32_t number = 0; number < count; ++number) {
        fetch(splat, members, number + AHEAD, count, rows);
        const int32_t particle = members[number], first = rows[2 * particle], last = rows[2 * particle + 1];
        forward_one<Shape>(splat, particle, first > top ? first : top, last < bottom ? last : bottom, maps, scratch);
    }
}

template <class Shape>
void adjoint_of(const Splat &splat, const int32_t *members, int32_t count, const int32_t *rows, const float *maps,
                const SplatGradient &gradient, float *memory) {
    Scratch scratch = scratch_at(splat, memory);
    for (int32_t number = 0; number < count; ++number) {
        fetch(splat, members, number + AHEAD, count, rows);
        const int32_t particle = members[number];
        adjoint_one<Shape>(splat, particle, rows[2 * particle], rows[2 * particle + 1], maps, gradient, scratch);
    }
}

struct Faces {
    void (*extent)(const Splat &, int32_t, int32_t, int32_t *, float *);
    void (*forward)(const Splat &, const int32_t *, int32_t, const int32_t *, int32_t, int32_t, float *, float *);
    void (*adjoint)(const Splat &, const int32_t *, int32_t, const int32_t *, const float *, const SplatGradient &,
                    float *);
};

template <class Shape> constexpr Faces faces() { return {extent_of<Shape>, forward_of<Shape>, adjoint_of<Shape>}; }

// In the order of Body.
constexpr Faces FACES[] = {faces<Sphere<>>(), faces<Ellipsoid<>>(), faces<Rod<>>(),
                           faces<Box<>>(),    faces<Disk<>>(),      faces<Crystal<>>()};

void extent(const Splat &splat, int32_t begin, int32_t end, int32_t *rows, float *memory) {
    FACES[static_cast<int>(splat.body)].extent(splat, begin, end, rows, scratch_at(splat, memory).body);
}

void forward(const Splat &splat, const int32_t *members, int32_t count, const int32_t *rows, int32_t top,
             int32_t bottom, float *maps, float *memory) {
    FACES[static_cast<int>(splat.body)].forward(splat, members, count, rows, top, bottom, maps, memory);
}

void adjoint(const Splat &splat, const int32_t *members, int32_t count, const int32_t *rows, const float *maps,
             const SplatGradient &gradient, float *memory) {
    FACES[static_cast<int>(splat.body)].adjoint(splat, members, count, rows, maps, gradient, memory);
}

} // namespace

const SplatKernels splat = {scratch_size, extent, forward, adjoint};

} // namespace exitwave::EXITWAVE_LEVEL
