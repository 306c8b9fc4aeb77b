// Silhouettes: the pixels that a body covers and how high it ends there.
//
// A convex outline covers one span of every row, so that only how high the body ends is left to compute at every pixel.
#include "silhouette.h"
#include "solids.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

typedef float Narrow __attribute__((vector_size(4 * WIDE)));
typedef int32_t Mask __attribute__((vector_size(4 * WIDE)));
typedef float LooseNarrow __attribute__((vector_size(4 * WIDE), aligned(4), may_alias));
typedef int32_t LooseMask __attribute__((vector_size(4 * WIDE), aligned(4), may_alias));

// Rows above and below the image of which the pixels are counted one by one; of more, every s-th row stands for s.
constexpr int64_t COUNTED = 1 << 16;

EXITWAVE_INLINE const double *row_of(const Silhouettes &all, long member) { return all.rows + member * all.columns; }

// A number that is none, or infinite, in the row of a body leaves nothing to draw.
bool drawable(const Silhouettes &all, long member) {
    const double *row = row_of(all, member);
    bool finite = true;
    for (int32_t column = 0; column < all.columns; ++column) {
        finite &= row[column] - row[column] == 0.0;
    }
    return finite;
}

template <class Shape> Extent extent(const Silhouettes &all, long member, double *scratch) {
    const auto outline = Shape::outline(row_of(all, member), all.columns, all.touch, scratch);
    const Range range = Shape::Outline::range(outline);
    const double middle = all.position[2 * member];
    const double top = __builtin_ceil(middle + range.low / all.dy);
    const double bottom = __builtin_floor(middle + range.high / all.dy) + 1.0;
    if (!(drawable(all, member) && top > -1e15 && bottom < 1e15 && top < bottom)) {
        return {0, 0};
    }
    return {static_cast<int64_t>(top), static_cast<int64_t>(bottom)};
}

// The columns that the outline covers in WIDE rows from `row` on, `stride` apart.
struct Columns {
    double first[WIDE], last[WIDE];
};

template <class Outline>
EXITWAVE_INLINE Columns columns(const Silhouettes &all, const double *position, const Outline &outline, double row,
                                double stride) {
    const Ends ends = Outline::ends(outline, (row + stride * count_wide() - position[0]) * all.dy);
    const Wide left = position[1] + ends.left / all.dx, right = position[1] + ends.right / all.dx;
    Columns found;
    for (int lane = 0; lane < WIDE; ++lane) {
        found.first[lane] = __builtin_ceil(left[lane]);
        found.last[lane] = __builtin_floor(right[lane]);
    }
    return found;
}

// Counts the pixels in the rows from `top` to before `bottom`; of many rows, every s-th stands for s.
template <class Outline>
int64_t count_rows(const Silhouettes &all, const double *position, const Outline &outline, int64_t top,
                   int64_t bottom) {
    const int64_t stride = (bottom - top + COUNTED - 1) / COUNTED;
    int64_t total = 0;
    for (int64_t row = top; row < bottom; row += WIDE * stride) {
        const Columns found =
            columns(all, position, outline, static_cast<double>(row + stride / 2), static_cast<double>(stride));
        for (int lane = 0; lane < WIDE && row + lane * stride < bottom; ++lane) {
            const int64_t left = bottom - row - lane * stride;
            const double count = found.last[lane] - found.first[lane] + 1.0;
            if (count > 0.0 && count < 1e15) {
                total += static_cast<int64_t>(count) * (left < stride ? left : stride);
            }
        }
    }
    return total;
}

template <class Shape>
Count trace(const Silhouettes &all, long member, const Extent &extent, Span *spans, double *scratch) {
    const auto outline = Shape::outline(row_of(all, member), all.columns, all.touch, scratch);
    const double *position = all.position + 2 * member;
    const int64_t top = extent.top < 0 ? 0 : extent.top;
    const int64_t bottom = extent.bottom < all.height ? extent.bottom : all.height;
    if (top >= bottom) {
        return {count_rows(all, position, outline, extent.top, extent.bottom), 0};
    }
    Count count = {count_rows(all, position, outline, extent.top, top) +
                       count_rows(all, position, outline, bottom, extent.bottom),
                   0};
    for (int64_t row = top; row < bottom; row += WIDE) {
        const Columns found = columns(all, position, outline, static_cast<double>(row), 1.0);
        for (int lane = 0; lane < WIDE && row + lane < bottom; ++lane) {
            const double first = larger(found.first[lane], 0.0), last = smaller(found.last[lane], all.width - 1.0);
            const bool some = found.last[lane] >= found.first[lane], seen = last >= first;
            count.all += some ? static_cast<int64_t>(smaller(found.last[lane] - found.first[lane] + 1.0, 1e15)) : 0;
            count.inside += seen ? static_cast<int64_t>(last - first + 1.0) : 0;
            spans[row - top + lane] = {seen ? static_cast<int32_t>(first) : 0, seen ? static_cast<int32_t>(last) : -1};
        }
    }
    return count;
}

// Puts the body's heights at up to WIDE pixels where nothing, or nothing higher, stands yet.
EXITWAVE_INLINE void raise(Narrow height, int32_t id, Mask here, float *depth, int32_t *ids) {
    const Narrow before = *reinterpret_cast<const LooseNarrow *>(depth);
    const Mask others = *reinterpret_cast<const LooseMask *>(ids);
    // Nothing is not a number, which no height is below.
    const Mask front = here & ~(height < before);
    *reinterpret_cast<LooseNarrow *>(depth) = front ? height : before;
    *reinterpret_cast<LooseMask *>(ids) = front ? id - Mask{} : others;
}

template <class Shape>
void draw(const Silhouettes &all, long member, int32_t id, int32_t top, int32_t bottom, const Span *spans,
          float *depth, int32_t *ids, double *scratch) {
    const Shape body = Shape::make(row_of(all, member), all.columns, scratch);
    const double *position = all.position + 2 * member, altitude = all.altitude[member];
    Mask lanes;
    for (int lane = 0; lane < WIDE; ++lane) {
        lanes[lane] = lane;
    }
    for (int32_t row = top; row < bottom; ++row) {
        const Span span = spans[row - top];
        const double y = (row - position[0]) * all.dy;
        float *to_depth = depth + static_cast<long>(row) * all.width;
        int32_t *to_ids = ids + static_cast<long>(row) * all.width;
        for (int32_t column = span.first; column <= span.last; column += WIDE) {
            const Wide x = (column + count_wide() - position[1]) * all.dx;
            const Narrow height = __builtin_convertvector(altitude + Shape::leave(body, y, x), Narrow);
            const int32_t count = span.last - column + 1;
            if (column + WIDE <= all.width) {
                raise(height, id, lanes < count, to_depth + column, to_ids + column);
                continue;
            }
            // At the row's end the lanes past it belong to another row, perhaps to another thread.
            for (int32_t lane = 0; lane < count; ++lane) {
                if (!(height[lane] < to_depth[column + lane])) {
                    to_depth[column + lane] = height[lane];
                    to_ids[column + lane] = id;
                }
            }
        }
    }
}

// Calls a function of the bodies' shape.
#define EXITWAVE_BY_SHAPE(function, all, ...)                                                                          \
    switch ((all).body) {                                                                                              \
    case Body::sphere:                                                                                                 \
        return function<Sphere>(all, __VA_ARGS__);                                                                     \
    case Body::ellipsoid:                                                                                              \
        return function<Ellipsoid>(all, __VA_ARGS__);                                                                  \
    case Body::rod:                                                                                                    \
        return function<Rod>(all, __VA_ARGS__);                                                                        \
    case Body::box:                                                                                                    \
        return function<Box>(all, __VA_ARGS__);                                                                        \
    case Body::disk:                                                                                                   \
        return function<Disk>(all, __VA_ARGS__);                                                                       \
    default:                                                                                                           \
        return function<Crystal>(all, __VA_ARGS__);                                                                    \
    }

Extent any_extent(const Silhouettes &all, long member, double *scratch) {
    EXITWAVE_BY_SHAPE(extent, all, member, scratch)
}

Count any_trace(const Silhouettes &all, long member, const Extent &rows, Span *spans, double *scratch) {
    EXITWAVE_BY_SHAPE(trace, all, member, rows, spans, scratch)
}

void any_draw(const Silhouettes &all, long member, int32_t id, int32_t top, int32_t bottom, const Span *spans,
              float *depth, int32_t *ids, double *scratch) {
    EXITWAVE_BY_SHAPE(draw, all, member, id, top, bottom, spans, depth, ids, scratch)
}

} // namespace

const SilhouetteKernels silhouette = {any_extent, any_trace, any_draw};

} // namespace exitwave::EXITWAVE_LEVEL
