// Pairs of vectors that act as one of twice the width. A sample's chord is a long chain of operations, each waiting for
// the one before; two chains side by side keep the processor busy.
#pragma once

#include "lanes.h"

namespace exitwave::EXITWAVE_LEVEL {

constexpr int WIDTH = 2 * LANES;

struct Mask {
    Whole low, high;
};

struct Wide {
    Lanes low, high;
};

EXITWAVE_INLINE Wide all_wide(float number) { return {all(number), all(number)}; }

EXITWAVE_INLINE Mask all_mask(bool holds) { return {all_whole(holds ? -1 : 0), all_whole(holds ? -1 : 0)}; }

#define EXITWAVE_ARITHMETIC(sign)                                                                                      \
    EXITWAVE_INLINE Wide operator sign(Wide a, Wide b) { return {a.low sign b.low, a.high sign b.high}; }              \
    EXITWAVE_INLINE Wide operator sign(Wide a, float b) { return {a.low sign b, a.high sign b}; }                      \
    EXITWAVE_INLINE Wide operator sign(float a, Wide b) { return {a sign b.low, a sign b.high}; }
EXITWAVE_ARITHMETIC(+)
EXITWAVE_ARITHMETIC(-)
EXITWAVE_ARITHMETIC(*)
EXITWAVE_ARITHMETIC(/)
#undef EXITWAVE_ARITHMETIC

#define EXITWAVE_COMPARISON(sign)                                                                                      \
    EXITWAVE_INLINE Mask operator sign(Wide a, Wide b) { return {a.low sign b.low, a.high sign b.high}; }              \
    EXITWAVE_INLINE Mask operator sign(Wide a, float b) { return {a.low sign b, a.high sign b}; }
EXITWAVE_COMPARISON(<)
EXITWAVE_COMPARISON(>)
EXITWAVE_COMPARISON(<=)
EXITWAVE_COMPARISON(>=)
EXITWAVE_COMPARISON(==)
#undef EXITWAVE_COMPARISON

EXITWAVE_INLINE Wide operator-(Wide a) { return {-a.low, -a.high}; }

EXITWAVE_INLINE Wide &operator+=(Wide &a, Wide b) { return a = a + b; }

EXITWAVE_INLINE Wide &operator-=(Wide &a, Wide b) { return a = a - b; }

EXITWAVE_INLINE Mask operator&(Mask a, Mask b) { return {a.low & b.low, a.high & b.high}; }

EXITWAVE_INLINE Mask operator|(Mask a, Mask b) { return {a.low | b.low, a.high | b.high}; }

EXITWAVE_INLINE Mask operator~(Mask a) { return {~a.low, ~a.high}; }

EXITWAVE_INLINE Wide load_wide(const float *from) { return {load(from), load(from + LANES)}; }

EXITWAVE_INLINE void store(float *to, Wide wide) {
    store(to, wide.low);
    store(to + LANES, wide.high);
}

EXITWAVE_INLINE void store(int32_t *to, Whole low, Whole high) {
    store(to, low);
    store(to + LANES, high);
}

EXITWAVE_INLINE Wide count_up_wide() { return {count_up(), count_up() + static_cast<float>(LANES)}; }

EXITWAVE_INLINE Wide select(Mask mask, Wide yes, Wide no) {
    return {select(mask.low, yes.low, no.low), select(mask.high, yes.high, no.high)};
}

EXITWAVE_INLINE Wide where(Mask mask, Wide wide) { return {where(mask.low, wide.low), where(mask.high, wide.high)}; }

EXITWAVE_INLINE Wide lesser(Wide a, Wide b) { return {lesser(a.low, b.low), lesser(a.high, b.high)}; }

EXITWAVE_INLINE Wide greater(Wide a, Wide b) { return {greater(a.low, b.low), greater(a.high, b.high)}; }

EXITWAVE_INLINE Wide clamp(Wide number, Wide low, Wide high) { return lesser(greater(number, low), high); }

EXITWAVE_INLINE Wide magnitude(Wide wide) { return {magnitude(wide.low), magnitude(wide.high)}; }

EXITWAVE_INLINE Wide turned(Wide number, Wide sign) {
    return {turned(number.low, sign.low), turned(number.high, sign.high)};
}

EXITWAVE_INLINE Wide square_root(Wide wide) { return {square_root(wide.low), square_root(wide.high)}; }

EXITWAVE_INLINE Wide inverse_root(Wide wide) { return {inverse_root(wide.low), inverse_root(wide.high)}; }

EXITWAVE_INLINE Wide inverse(Wide wide) { return {inverse(wide.low), inverse(wide.high)}; }

EXITWAVE_INLINE float lowest(Wide wide) { return lowest(lesser(wide.low, wide.high)); }

EXITWAVE_INLINE float highest(Wide wide) { return highest(greater(wide.low, wide.high)); }

EXITWAVE_INLINE float total(Wide wide) { return total(wide.low + wide.high); }

EXITWAVE_INLINE bool any(Mask mask) { return any(mask.low | mask.high); }

} // namespace exitwave::EXITWAVE_LEVEL
