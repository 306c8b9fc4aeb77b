// Portable vectors of single-precision numbers: one namespace per SIMD level, EXITWAVE_LEVEL, of EXITWAVE_LANES lanes.
//
// Everything here is `static inline` in the level's own namespace, so that no function compiled for a newer processor
// can stand in for that of an older one. Kernel files include no standard C++ headers for the same reason.
#pragma once

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#ifndef EXITWAVE_LEVEL
#define EXITWAVE_LEVEL baseline
#endif

#if defined(__AVX512F__)
#define EXITWAVE_LANES 16
#elif defined(__AVX__)
#define EXITWAVE_LANES 8
#else
#define EXITWAVE_LANES 4
#endif

#define EXITWAVE_INLINE static inline __attribute__((always_inline))
#define EXITWAVE_METHOD inline __attribute__((always_inline))

namespace exitwave::EXITWAVE_LEVEL {

constexpr int LANES = EXITWAVE_LANES;

typedef float Lanes __attribute__((vector_size(4 * EXITWAVE_LANES)));
typedef int32_t Whole __attribute__((vector_size(4 * EXITWAVE_LANES)));
// The same at any address.
typedef float LooseLanes __attribute__((vector_size(4 * EXITWAVE_LANES), aligned(4), may_alias));
typedef int32_t LooseWhole __attribute__((vector_size(4 * EXITWAVE_LANES), aligned(4), may_alias));

EXITWAVE_INLINE Lanes all(float number) { return number - Lanes{}; }

EXITWAVE_INLINE Whole all_whole(int32_t number) { return number - Whole{}; }

EXITWAVE_INLINE Lanes load(const float *from) { return *reinterpret_cast<const LooseLanes *>(from); }

EXITWAVE_INLINE void store(float *to, Lanes lanes) { *reinterpret_cast<LooseLanes *>(to) = lanes; }

EXITWAVE_INLINE void store(int32_t *to, Whole lanes) { *reinterpret_cast<LooseWhole *>(to) = lanes; }

// 0, 1, 2, ...
EXITWAVE_INLINE Lanes count_up() {
    Lanes lanes;
    for (int lane = 0; lane < LANES; ++lane) {
        lanes[lane] = static_cast<float>(lane);
    }
    return lanes;
}

// The lanes of `yes` where the mask holds, else those of `no`.
EXITWAVE_INLINE Lanes select(Whole mask, Lanes yes, Lanes no) { return mask ? yes : no; }

EXITWAVE_INLINE Whole select(Whole mask, Whole yes, Whole no) { return mask ? yes : no; }

// `lanes` where the mask holds, else zero.
EXITWAVE_INLINE Lanes where(Whole mask, Lanes lanes) { return mask ? lanes : Lanes{}; }

// The smaller and the larger of two numbers: the second where one of them is not a number.
EXITWAVE_INLINE Lanes lesser(Lanes a, Lanes b) {
#if defined(__AVX512F__)
    return reinterpret_cast<Lanes>(_mm512_min_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX__)
    return reinterpret_cast<Lanes>(_mm256_min_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__SSE2__)
    return reinterpret_cast<Lanes>(_mm_min_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
    return a < b ? a : b;
#endif
}

EXITWAVE_INLINE Lanes greater(Lanes a, Lanes b) {
#if defined(__AVX512F__)
    return reinterpret_cast<Lanes>(_mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
#elif defined(__AVX__)
    return reinterpret_cast<Lanes>(_mm256_max_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b)));
#elif defined(__SSE2__)
    return reinterpret_cast<Lanes>(_mm_max_ps(reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b)));
#else
    return a > b ? a : b;
#endif
}

EXITWAVE_INLINE Lanes clamp(Lanes number, Lanes low, Lanes high) { return lesser(greater(number, low), high); }

EXITWAVE_INLINE Lanes magnitude(Lanes number) {
    return reinterpret_cast<Lanes>(reinterpret_cast<Whole>(number) & all_whole(0x7fffffff));
}

// `number` with its sign turned where `sign` is negative.
EXITWAVE_INLINE Lanes turned(Lanes number, Lanes sign) {
    return reinterpret_cast<Lanes>(reinterpret_cast<Whole>(number) ^
                                   (reinterpret_cast<Whole>(sign) & all_whole(INT32_MIN)));
}

EXITWAVE_INLINE Lanes square_root(Lanes number) {
#if defined(__AVX512F__)
    return reinterpret_cast<Lanes>(_mm512_sqrt_ps(reinterpret_cast<__m512>(number)));
#elif defined(__AVX__)
    return reinterpret_cast<Lanes>(_mm256_sqrt_ps(reinterpret_cast<__m256>(number)));
#elif defined(__SSE2__)
    return reinterpret_cast<Lanes>(_mm_sqrt_ps(reinterpret_cast<__m128>(number)));
#else
    for (int lane = 0; lane < LANES; ++lane) {
        number[lane] = __builtin_sqrtf(number[lane]);
    }
    return number;
#endif
}

// 1 / number and 1 / sqrt(number) to 2^-23 or so, for normal numbers. A guess and a step of Newton's method keep the
// unit for divisions and roots free.
EXITWAVE_INLINE Lanes inverse(Lanes number) {
#if defined(__AVX512F__)
    const Lanes guess = reinterpret_cast<Lanes>(_mm512_rcp14_ps(reinterpret_cast<__m512>(number)));
    return guess * (2.0f - number * guess);
#else
    return 1.0f / number;
#endif
}

EXITWAVE_INLINE Lanes inverse_root(Lanes number) {
#if defined(__AVX512F__)
    const Lanes guess = reinterpret_cast<Lanes>(_mm512_rsqrt14_ps(reinterpret_cast<__m512>(number)));
    return guess * (1.5f - (0.5f * number) * (guess * guess));
#else
    return 1.0f / square_root(number);
#endif
}

EXITWAVE_INLINE float lowest(Lanes lanes) {
    float found = lanes[0];
    for (int lane = 1; lane < LANES; ++lane) {
        found = lanes[lane] < found ? lanes[lane] : found;
    }
    return found;
}

EXITWAVE_INLINE float highest(Lanes lanes) { return -lowest(-lanes); }

// The sum of all lanes, pair by pair: always in the same order.
EXITWAVE_INLINE float total(Lanes lanes) {
    float parts[LANES];
    store(parts, lanes);
    for (int half = LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; ++lane) {
            parts[lane] += parts[lane + half];
        }
    }
    return parts[0];
}

#if defined(__AVX512F__)
// The first `count` of two vectors' lanes, from none to all.
struct First {
    __mmask16 low, high;

    EXITWAVE_METHOD explicit First(int count) {
        const uint32_t lanes = _bzhi_u32(~0u, static_cast<uint32_t>(count));
        low = static_cast<__mmask16>(lanes);
        high = static_cast<__mmask16>(lanes >> LANES);
    }
};

EXITWAVE_INLINE Lanes load_first(__mmask16 lanes, const float *from) {
    return reinterpret_cast<Lanes>(_mm512_maskz_loadu_ps(lanes, from));
}

EXITWAVE_INLINE void store_first(__mmask16 lanes, float *to, Lanes number) {
    _mm512_mask_storeu_ps(to, lanes, reinterpret_cast<__m512>(number));
}
#endif

// to[i] += weight * from[i] for `count` numbers; `from` may be read up to two vectors past them.
EXITWAVE_INLINE void add_scaled(float *to, const float *from, float weight, int count) {
    const Lanes scale = all(weight);
    int i = 0;
#if defined(__AVX512F__)
    // Most rows are short. Two vectors with masks cost less than a branch that is often mispredicted.
    for (; i + 2 * LANES < count; i += LANES) {
        store(to + i, load(to + i) + scale * load(from + i));
    }
    const First rest(count - i);
    store_first(rest.low, to + i, load_first(rest.low, to + i) + scale * load(from + i));
    to += i + LANES;
    from += i + LANES;
    store_first(rest.high, to, load_first(rest.high, to) + scale * load(from));
#else
    for (; i + LANES <= count; i += LANES) {
        store(to + i, load(to + i) + scale * load(from + i));
    }
    for (; i < count; ++i) {
        to[i] += weight * from[i];
    }
#endif
}

// Copies `count` numbers; `to` may be overwritten up to two vectors past them.
EXITWAVE_INLINE void copy(float *to, const float *from, int count) {
    int i = 0;
#if defined(__AVX512F__)
    for (; i + 2 * LANES < count; i += LANES) {
        store(to + i, load(from + i));
    }
    const First rest(count - i);
    store(to + i, load_first(rest.low, from + i));
    store(to + i + LANES, load_first(rest.high, from + i + LANES));
#else
    for (; i + LANES <= count; i += LANES) {
        store(to + i, load(from + i));
    }
    for (; i < count; ++i) {
        to[i] = from[i];
    }
#endif
}

// Whether the mask holds in any lane.
EXITWAVE_INLINE bool any(Whole mask) {
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask(reinterpret_cast<__m512i>(mask), reinterpret_cast<__m512i>(mask)) != 0;
#elif defined(__AVX__)
    return _mm256_movemask_ps(reinterpret_cast<__m256>(mask)) != 0;
#elif defined(__SSE2__)
    return _mm_movemask_ps(reinterpret_cast<__m128>(mask)) != 0;
#else
    int32_t found = 0;
    for (int lane = 0; lane < LANES; ++lane) {
        found |= mask[lane];
    }
    return found != 0;
#endif
}

} // namespace exitwave::EXITWAVE_LEVEL
