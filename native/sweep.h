// How a particle's samples are laid out: densely, row after row of its silhouette, so that vectors are full whatever
// its width. Long particles take several rounds.
#pragma once

#include "splat.h"
#include "wide.h"

namespace exitwave::EXITWAVE_LEVEL {

constexpr int CAPACITY = 1024;               // samples of a round: a few arrays of them fit in the first-level cache
constexpr int PADDED = CAPACITY + 2 * WIDTH; // rows are written and read past their ends
constexpr int ROWS = 64;                     // rows whose spans are computed at a time, a multiple of WIDTH

// Samples next to each other in one row of the canvas; `offset` is their place in the round.
struct Piece {
    int32_t row, column, count, offset;
};

struct Scratch {
    float *y, *x, *value, *enter, *leave, *by_enter, *by_leave, *by_share, *pull, *by_weight, *body;
    int32_t *first, *last;
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
    scratch.last = reinterpret_cast<int32_t *>(take(ROWS + WIDTH));
    scratch.pieces = reinterpret_cast<Piece *>(take(4 * (CAPACITY + 1)));
    scratch.body = memory;
    return scratch;
}

// Numbers that are not negative as whole numbers.
EXITWAVE_INLINE Whole rounded_down(Lanes number) { return __builtin_convertvector(number, Whole); }

EXITWAVE_INLINE Whole rounded_up(Lanes number) {
    const Whole below = rounded_down(number);
    return below - (__builtin_convertvector(below, Lanes) < number);
}

// The spans of up to ROWS rows of the canvas from `top` on: first and last column, clipped; none where last < first.
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
        store(scratch.first + i, rounded_up(left.low), rounded_up(left.high));
        store(scratch.last + i, rounded_down(right.low + 1.0f) - 1, rounded_down(right.high + 1.0f) - 1);
    }
}

// Writes the coordinates of a row of samples, in whole vectors. Most rows take one: asking first would cost more.
EXITWAVE_INLINE void lay_out(float *to_y, float *to_x, Wide y, Wide x, float dx, int count) {
    store(to_y, y);
    store(to_x, x);
    for (int k = WIDTH; k < count; k += WIDTH) {
        store(to_y + k, y);
        store(to_x + k, x + static_cast<float>(k) * dx);
    }
}

// The samples of a particle from row `top` to `bottom`, a round at a time.
template <class Shape> class Sweep {
  public:
    int pieces, used;

    EXITWAVE_METHOD Sweep(const Shape &shape, const Splat &splat, int32_t particle, int top, int bottom,
                          Scratch &scratch)
        : pieces(0), used(0), shape_(shape), splat_(splat), scratch_(scratch), cy_(splat.position[2 * particle]),
          cx_(splat.position[2 * particle + 1]), row_(top), bottom_(bottom), block_(top - ROWS), column_(0), last_(-1) {
    }

    // Lays out the next round; returns whether there is one.
    EXITWAVE_METHOD bool next() {
        pieces = used = 0;
        while (used < CAPACITY) {
            while (column_ > last_) {
                if (row_ >= bottom_) {
                    return used > 0;
                }
                open_row();
            }
            const int left = last_ - column_ + 1, count = left < CAPACITY - used ? left : CAPACITY - used;
            const Wide x = (static_cast<float>(column_) + count_up_wide() - cx_) * splat_.dx;
            lay_out(scratch_.y + used, scratch_.x + used, y_, x, splat_.dx, count);
            scratch_.pieces[pieces++] = {row_ - 1, column_, count, used};
            used += count;
            column_ += count;
        }
        return true;
    }

  private:
    const Shape &shape_;
    const Splat &splat_;
    Scratch &scratch_;
    float cy_, cx_;
    int row_, bottom_, block_, column_, last_; // the next row, the first of the block whose spans are known
    Wide y_;

    EXITWAVE_METHOD void open_row() {
        if (row_ == block_ + ROWS) {
            block_ = row_;
            find_spans(shape_, splat_, cy_, cx_, block_, bottom_ - block_ < ROWS ? bottom_ - block_ : ROWS, scratch_);
        }
        column_ = scratch_.first[row_ - block_];
        last_ = scratch_.last[row_ - block_];
        y_ = all_wide((static_cast<float>(row_) - cy_) * splat_.dy);
        ++row_;
    }
};

} // namespace exitwave::EXITWAVE_LEVEL
