// How a particle's samples are laid out: densely, row after row of its silhouette, so that vectors are full whatever
// its width. Long particles take several rounds.
#pragma once

#include "splat.h"
#include "wide.h"

namespace exitwave::EXITWAVE_LEVEL {

constexpr int CAPACITY = 1024;               // samples of a round: a few arrays of them fit in the first-level cache
constexpr int PADDED = CAPACITY + 2 * WIDTH; // rows are written and read past their ends
constexpr int ROWS = 64;                     // rows whose spans are computed at a time, a multiple of WIDTH

// Samples next to each other in one row of a map: where they begin in the map and in the round.
struct Piece {
    int64_t place;
    int32_t count, offset;
};

struct Scratch {
    float *y, *x, *value, *enter, *leave, *by_enter, *by_leave, *by_share, *pull, *by_weight, *body;
    int32_t *first, *count;
    Piece *pieces;
};

constexpr int SCRATCH_ARRAYS = 8;

EXITWAVE_INLINE Scratch scratch_at(const Splat &splat, float *memory) {
    const auto take = [&memory](long count) {
        float *taken = memory;
        memory += count;
        return taken;
    };
    Scratch scratch;
    float **const arrays[SCRATCH_ARRAYS] = {&scratch.y,     &scratch.x,        &scratch.value,    &scratch.enter,
                                            &scratch.leave, &scratch.by_enter, &scratch.by_leave, &scratch.by_share};
    for (float **array : arrays) {
        *array = take(PADDED);
    }
    scratch.pull = take(static_cast<long>(splat.channels) * PADDED);
    scratch.by_weight = take(splat.channels * WIDTH);
    scratch.first = reinterpret_cast<int32_t *>(take(ROWS + WIDTH));
    scratch.count = reinterpret_cast<int32_t *>(take(ROWS + WIDTH));
    scratch.pieces = reinterpret_cast<Piece *>(take(4 * (CAPACITY + 1)));
    scratch.body = memory;
    return scratch;
}

// `number`, or zero where it is negative.
EXITWAVE_INLINE Whole not_negative(Whole number) { return number & (number >= 0); }

// Numbers that are not negative as whole numbers.
EXITWAVE_INLINE Whole rounded_down(Lanes number) { return __builtin_convertvector(number, Whole); }

EXITWAVE_INLINE Whole rounded_up(Lanes number) {
    const Whole below = rounded_down(number);
    return below - (__builtin_convertvector(below, Lanes) < number);
}

// The first row of the canvas that a particle has samples in, and the row past the last; both 0 where it has none.
template <class Shape>
EXITWAVE_INLINE void find_extent(const Shape &shape, const Splat &splat, int32_t particle, int32_t *rows) {
    const float *row = splat.rows + static_cast<long>(particle) * splat.columns;
    const float cy = splat.position[2 * particle], half = shape.half_height() / splat.dy;
    // Whatever is not a number anywhere in it must not decide where a particle is drawn.
    float nothing = 0.0f * cy + 0.0f * splat.position[2 * particle + 1] + 0.0f * half;
    for (int column = 0; column < splat.columns; ++column) {
        nothing += 0.0f * row[column];
    }
    const float limit = static_cast<float>(splat.height);
    const float low = cy - half, high = cy + half;
    const bool seen = nothing == 0.0f && high >= 0.0f && low <= limit - 1.0f;
    const float from = low > 0.0f ? low : 0.0f, to = high < limit - 1.0f ? high : limit - 1.0f;
    const int ahead = seen ? static_cast<int>(from) : 0;
    rows[0] = seen ? ahead + (static_cast<float>(ahead) < from) : 0;
    rows[1] = seen ? static_cast<int>(to) + 1 : 0;
}

// The spans of up to ROWS rows of the canvas from `top` on: first column and number of samples, clipped.
template <class Shape>
EXITWAVE_INLINE void find_spans(const Shape &shape, const Splat &splat, float cy, float cx, int top, int count,
                                Scratch &scratch) {
    const float per_dx = 1.0f / splat.dx;
    for (int i = 0; i < count; i += WIDTH) {
        const Wide y = (static_cast<float>(top + i) + count_up_wide() - cy) * splat.dy;
        Wide low, high;
        shape.span(y, low, high);
        const Wide left = clamp(cx + low * per_dx, Wide{}, all_wide(static_cast<float>(splat.width)));
        const Wide right = clamp(cx + high * per_dx, all_wide(-1.0f), all_wide(static_cast<float>(splat.width - 1)));
        const Whole first[] = {rounded_up(left.low), rounded_up(left.high)};
        const Whole past[] = {rounded_down(right.low + 1.0f), rounded_down(right.high + 1.0f)};
        store(scratch.first + i, first[0], first[1]);
        store(scratch.count + i, not_negative(past[0] - first[0]), not_negative(past[1] - first[1]));
    }
}

// The samples of a particle from row `top` to `bottom`, a round at a time.
template <class Shape> class Sweep {
  public:
    int pieces, used;

    EXITWAVE_METHOD Sweep(const Shape &shape, const Splat &splat, int32_t particle, int top, int bottom,
                          Scratch &scratch)
        : pieces(0), used(0), shape_(shape), splat_(splat), scratch_(scratch), cy_(splat.position[2 * particle]),
          cx_(splat.position[2 * particle + 1]), row_(top), bottom_(bottom), block_(top - ROWS), done_(0) {}

    // Lays out the next round; returns whether there is one. What it covers of `map` is fetched into the cache, if one
    // is given.
    EXITWAVE_METHOD bool next(const float *map) {
        pieces = used = 0;
        for (; row_ < bottom_; ++row_) {
            if (row_ == block_ + ROWS) {
                block_ = row_;
                find_spans(shape_, splat_, cy_, cx_, row_, bottom_ - row_ < ROWS ? bottom_ - row_ : ROWS, scratch_);
            }
            const int left = scratch_.count[row_ - block_] - done_;
            if (used + left > CAPACITY) {
                const int fitting = CAPACITY - used;
                lay_out(map, fitting);
                done_ += fitting;
                return true;
            }
            lay_out(map, left);
            done_ = 0;
        }
        return used > 0;
    }

  private:
    const Shape &shape_;
    const Splat &splat_;
    Scratch &scratch_;
    float cy_, cx_;
    int row_, bottom_, block_, done_; // the next row, the first whose span is known, and what earlier rounds took of it

    // Writes the coordinates of `count` samples of a row, in whole vectors. Most rows take one: asking first would cost
    // more.
    EXITWAVE_METHOD void lay_out(const float *map, int count) {
        const int column = scratch_.first[row_ - block_] + done_;
        const Wide y = all_wide((static_cast<float>(row_) - cy_) * splat_.dy);
        const Wide x = (static_cast<float>(column) - cx_ + count_up_wide()) * splat_.dx;
        float *to_y = scratch_.y + used, *to_x = scratch_.x + used;
        store(to_y, y);
        store(to_x, x);
        for (int k = WIDTH; k < count; k += WIDTH) {
            store(to_y + k, y);
            store(to_x + k, x + static_cast<float>(k) * splat_.dx);
        }
        const int64_t place = static_cast<int64_t>(row_) * splat_.width + column;
        if (map != nullptr) {
            __builtin_prefetch(map + place);
            __builtin_prefetch(map + place + count);
        }
        scratch_.pieces[pieces] = {place, count, used};
        pieces += count > 0;
        used += count;
    }
};

} // namespace exitwave::EXITWAVE_LEVEL
