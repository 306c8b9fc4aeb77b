// SIMD levels: every kernel file is compiled once per level, and the module picks one level when it is imported.
#pragma once

namespace exitwave {

enum class Level { baseline, v3, v4 };

// The level that this process runs at: the best that the processor has, lowered by EXITWAVE_SIMD.
Level level();

// The table of kernels of that level. Where a machine has a single build, the three are the same.
template <class Table>
const Table &at_level(const Table &baseline, const Table &v3, const Table &v4) {
    switch (level()) {
    case Level::v4:
        return v4;
    case Level::v3:
        return v3;
    default:
        return baseline;
    }
}

} // namespace exitwave

// Declares one table of kernels for every level that is built.
#ifdef EXITWAVE_X86
#define EXITWAVE_DECLARE(Table, name)                                                                                  \
    namespace exitwave::baseline {                                                                                     \
    extern const Table name;                                                                                           \
    }                                                                                                                  \
    namespace exitwave::v3 {                                                                                           \
    extern const Table name;                                                                                           \
    }                                                                                                                  \
    namespace exitwave::v4 {                                                                                           \
    extern const Table name;                                                                                           \
    }
#define EXITWAVE_PICK(name)                                                                                            \
    ::exitwave::at_level(::exitwave::baseline::name, ::exitwave::v3::name, ::exitwave::v4::name)
#else
#define EXITWAVE_DECLARE(Table, name)                                                                                  \
    namespace exitwave::baseline {                                                                                     \
    extern const Table name;                                                                                           \
    }
#define EXITWAVE_PICK(name) (::exitwave::baseline::name)
#endif
