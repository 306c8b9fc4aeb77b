// A camera's noise; `sensor/camera.py` has the meaning and the formulas in plain torch.
//
// Sums and products are taken one by one, in torch's order, and this file is compiled without contraction: electrons
// and counts are whole numbers, and a last bit more or less turns some of them into their neighbours.
#include "camera.h"
#include "lanes.h"

namespace exitwave::EXITWAVE_LEVEL {

namespace {

// The smaller and the larger of a bound and a number; what is not a number stays so.
EXITWAVE_INLINE float at_most(float bound, float number) { return number > bound ? bound : number; }

EXITWAVE_INLINE float at_least(float bound, float number) { return number < bound ? bound : number; }

// The nearest whole number, the even one of two: the unit in the last place of sums from 2^23 on is 1.
EXITWAVE_INLINE float rounded(float number) {
    const float size = __builtin_fabsf(number);
    const float whole = (size + 8388608.0f) - 8388608.0f;
    return size < 8388608.0f ? __builtin_copysignf(whole, number) : number;
}

bool shot(const Shade &shade, const float *image, float few, float *drawn, long rows, long width) {
    int found = 0;
    for (long row = 0; row < rows; ++row) {
        const float down = shade.down[row], bright = shade.bright, vignette = shade.vignette;
        const float *const across = shade.across, *const line = image + row * width;
        float *const to = drawn + row * width;
        for (long x = 0; x < width; ++x) {
            const float dark = vignette * (down + across[x]) * 0.5f;
            const float mean = bright * (1.0f - dark) * at_least(0.0f, line[x]);
            found |= mean < few;
            const float z = to[x], square = z * z, root = __builtin_sqrtf(at_least(1.0f, mean));
            const float skewed = ((1.0f - square) / root * static_cast<float>(1.0 / 72) + root) * z;
            constexpr float SIXTH = static_cast<float>(1.0 / 6);
            to[x] = rounded(skewed + square * SIXTH + mean - SIXTH);
        }
    }
    return found != 0;
}

void convert(const Converter &with, const float *electrons, const float *noise, float *counts, long rows, long width) {
    for (long row = 0; row < rows; ++row) {
        const float full = with.full, white = with.white;
        const float *const gain = with.gain.first + row * with.gain.stride;
        const float *const offset = with.offset.first + row * with.offset.stride;
        const float *const read_noise = with.read_noise.first + row * with.read_noise.stride;
        const float *const drawn = electrons + row * width, *const z = noise + row * width;
        float *const to = counts + row * width;
        for (long x = 0; x < width; ++x) {
            const float held = at_most(full, drawn[x] + z[x] * read_noise[x]);
            to[x] = at_least(0.0f, at_most(white, rounded(at_most(white, offset[x] + gain[x] * held))));
        }
    }
}

} // namespace

const CameraKernels camera = {shot, convert};

} // namespace exitwave::EXITWAVE_LEVEL
