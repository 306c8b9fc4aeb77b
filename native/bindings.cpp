// The module exitwave._native. This file is compiled for the oldest processor of its kind.
#include "levels.h"

#include <cstdlib>
#include <cstring>
#include <nanobind/nanobind.h>
#include <stdexcept>

namespace nb = nanobind;

void bind_splat(nb::module_ &);
void bind_silhouette(nb::module_ &);
void bind_exitwave(nb::module_ &);
void bind_pupil(nb::module_ &);
void bind_camera(nb::module_ &);
void bind_spread(nb::module_ &);
void bind_fragments(nb::module_ &);
void bind_rounds(nb::module_ &);

namespace exitwave {

static Level best() {
#ifdef EXITWAVE_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        return Level::v4;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2")) {
        return Level::v3;
    }
#endif
    return Level::baseline;
}

static Level chosen() {
    const char *wanted = std::getenv("EXITWAVE_SIMD");
    if (wanted == nullptr || *wanted == '\0') {
        return best();
    }
    for (Level one : {Level::baseline, Level::v3, Level::v4}) {
        const char *name = one == Level::baseline ? "baseline" : one == Level::v3 ? "v3" : "v4";
        if (std::strcmp(wanted, name) == 0) {
            return one < best() ? one : best();
        }
    }
    throw std::runtime_error("EXITWAVE_SIMD must be baseline, v3 or v4; unset it to use what the processor has");
}

Level level() {
    static const Level found = chosen();
    return found;
}

static const char *level_name() {
#ifdef EXITWAVE_X86
    switch (level()) {
    case Level::v4:
        return "x86-64-v4";
    case Level::v3:
        return "x86-64-v3";
    default:
        return "x86-64";
    }
#else
    return "generic";
#endif
}

} // namespace exitwave

NB_MODULE(_native, module) {
    // An unknown EXITWAVE_SIMD is refused here, when the module is imported.
    exitwave::level();
    module.def("level", &exitwave::level_name, "Return the SIMD level that the kernels run at.");
    bind_splat(module);
    bind_silhouette(module);
    bind_exitwave(module);
    bind_pupil(module);
    bind_camera(module);
    bind_spread(module);
    bind_fragments(module);
    bind_rounds(module);
}
