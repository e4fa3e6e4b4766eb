// CUDA's words for a host compiler: what kernels/cuda may use of the language and its built-in functions, and nothing else.
//
// Functions here are not watched (SHIM_WORD): they say themselves what they touch.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "block.hpp"
#include "watch.hpp"

#define SHIM_WORD __attribute__((no_sanitize("thread"))) inline
#define SHIM_SITE int line = __builtin_LINE(), const char *file = __builtin_FILE()

#define __device__
#define __forceinline__ inline

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

#define threadIdx (shim::thread_index())
#define blockIdx (shim::block_index())
#define blockDim (shim::block_size())
#define gridDim (shim::grid_size())

#define __syncthreads() shim::barrier({__FILE__, __LINE__})

SHIM_WORD void __syncwarp(unsigned mask = 0xffffffff, SHIM_SITE) {
    shim::meet(mask, "__syncwarp", {file, line}, &mask, sizeof mask, true);
}

template <class T> SHIM_WORD T shim_shuffle(unsigned mask, T value, unsigned from, const char *what, shim::Site site) {
    static_assert(sizeof(T) <= shim::SLOT);
    const auto *slots = shim::meet(mask, what, site, &value, sizeof value, false);
    if ((mask >> from & 1) == 0) {
        shim::fail("%s at %s:%d asks lane %u, which is not in the mask", what, site.file, site.line, from);
    }
    T answer;
    std::memcpy(&answer, slots[from], sizeof answer);
    return answer;
}

template <class T> SHIM_WORD T __shfl_sync(unsigned mask, T value, int from, SHIM_SITE) {
    return shim_shuffle(mask, value, static_cast<unsigned>(from) % shim::LANES, "__shfl_sync", {file, line});
}

template <class T> SHIM_WORD T __shfl_xor_sync(unsigned mask, T value, int lanes, SHIM_SITE) {
    return shim_shuffle(mask, value, shim::current->lane ^ static_cast<unsigned>(lanes), "__shfl_xor_sync", {file, line});
}

template <class T> SHIM_WORD T __shfl_up_sync(unsigned mask, T value, unsigned by, SHIM_SITE) {
    const unsigned lane = shim::current->lane;
    return shim_shuffle(mask, value, lane < by ? lane : lane - by, "__shfl_up_sync", {file, line});
}

SHIM_WORD unsigned __ballot_sync(unsigned mask, int predicate, SHIM_SITE) {
    const auto *slots = shim::meet(mask, "__ballot_sync", {file, line}, &predicate, sizeof predicate, false);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < shim::LANES; ++lane) {
        int vote = 0;
        if (mask >> lane & 1) {
            std::memcpy(&vote, slots[lane], sizeof vote);
        }
        votes |= (vote != 0 ? 1u : 0u) << lane;
    }
    return votes;
}

template <class T> SHIM_WORD T atomicAdd(T *at, T more) {
    shim::watch_atomic(at, sizeof *at);
    const T old = *at;
    *at = old + more;
    return old;
}

template <class T> SHIM_WORD T atomicMax(T *at, T other) {
    shim::watch_atomic(at, sizeof *at);
    const T old = *at;
    *at = other > old ? other : old;
    return old;
}

template <class T> SHIM_WORD T atomicMin(T *at, T other) {
    shim::watch_atomic(at, sizeof *at);
    const T old = *at;
    *at = other < old ? other : old;
    return old;
}

SHIM_WORD unsigned __float_as_uint(float x) {
    unsigned bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

SHIM_WORD float __uint_as_float(unsigned bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

SHIM_WORD int __float2int_rn(float x) {
    return static_cast<int>(std::nearbyint(x));
}

SHIM_WORD unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const std::uint64_t both = static_cast<std::uint64_t>(high) << 32 | low;
    unsigned picked = 0;
    for (unsigned byte = 0; byte < 4; ++byte) {
        const unsigned from = selector >> (4 * byte) & 7;
        picked |= static_cast<unsigned>(both >> (8 * from) & 0xff) << (8 * byte);
    }
    return picked;
}

// The twins of the instructions that kernels/cuda/device.cuh and product.cuh write in PTX.

SHIM_WORD uint4 load16(const void *from) {
    shim::watch_read(from, 16);
    uint4 word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

SHIM_WORD uint4 load16_once(const void *from) {
    return load16(from);
}

SHIM_WORD uint2 load8(const void *from) {
    shim::watch_read(from, 8);
    uint2 word;
    std::memcpy(&word, from, sizeof word);
    return word;
}

SHIM_WORD void store16(void *to, uint4 word) {
    shim::watch_write(to, 16);
    std::memcpy(to, &word, sizeof word);
}

// Nearest, ties to even, as cvt.rn.
SHIM_WORD unsigned short narrow_bf16(float x) {
    const unsigned bits = __float_as_uint(x);
    if ((bits & 0x7fffffff) > 0x7f800000) {
        return 0x7fff;
    }
    return static_cast<unsigned short>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

SHIM_WORD float widen_f16(unsigned short half) {
    const unsigned sign = static_cast<unsigned>(half & 0x8000) << 16;
    const int exponent = half >> 10 & 31;
    const int fraction = half & 0x3ff;
    float size = 0;
    if (exponent == 31) {
        size = fraction == 0 ? INFINITY : NAN;
    } else if (exponent == 0) {
        size = std::ldexp(static_cast<float>(fraction), -24);
    } else {
        size = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    }
    return __uint_as_float(__float_as_uint(size) | sign);
}

SHIM_WORD unsigned short narrow_f16(float x) {
    const unsigned short sign = static_cast<unsigned short>(__float_as_uint(x) >> 16 & 0x8000);
    const float size = std::fabs(x);
    if (std::isnan(x)) {
        return 0x7fff;
    }
    if (size >= 65520.0f) {
        return static_cast<unsigned short>(sign | 0x7c00);
    }
    int exponent = size > 0 ? std::ilogb(size) : -14;
    if (exponent < -14) {
        exponent = -14;
    }
    const auto steps = static_cast<unsigned>(std::nearbyint(std::ldexp(size, 10 - exponent)));
    const unsigned bits = steps + (static_cast<unsigned>(exponent + 14) << 10);
    return static_cast<unsigned short>(sign | bits);
}

SHIM_WORD unsigned pack_bf16(float low, float high) {
    return static_cast<unsigned>(narrow_bf16(high)) << 16 | narrow_bf16(low);
}

SHIM_WORD unsigned pack_f16(float low, float high) {
    return static_cast<unsigned>(narrow_f16(high)) << 16 | narrow_f16(low);
}

SHIM_WORD float exp2_fast(float x) {
    return std::exp2(x);
}

SHIM_WORD float log2_fast(float x) {
    return std::log2(x);
}

// What a lane has of the two factors of a matrix product.
struct ShimFactors {
    unsigned a[4];
    unsigned b[2];
};

// Tells each lane of the warp what all of them have.
SHIM_WORD void shim_exchange(ShimFactors (&all)[32], const unsigned (&a)[4], unsigned b0, unsigned b1, const char *what,
                             shim::Site site) {
    const ShimFactors mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}};
    const auto *slots = shim::meet(0xffffffff, what, site, &mine, sizeof mine, false);
    for (unsigned lane = 0; lane < 32; ++lane) {
        std::memcpy(&all[lane], slots[lane], sizeof mine);
    }
}

// m16n8k16 of 16-bit numbers: lane 4 g + c has of A rows g and g + 8, columns 2 c, 2 c + 1, 2 c + 8, 2 c + 9; of B these
// rows, column g; of D rows g and g + 8, columns 2 c and 2 c + 1 (PTX ISA, "Matrix Fragments for mma.m16n8k16").
template <float WIDEN(unsigned short)>
SHIM_WORD void shim_product16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, const char *what,
                              shim::Site site) {
    ShimFactors all[32];
    shim_exchange(all, a, b0, b1, what, site);
    const unsigned lane = shim::current->lane;
    for (unsigned at = 0; at < 4; ++at) {
        const unsigned row = lane / 4 + at / 2 * 8;
        const unsigned column = lane % 4 * 2 + at % 2;
        float sum = d[at];
        for (unsigned k = 0; k < 16; ++k) {
            const unsigned in_a = all[row % 8 * 4 + k % 8 / 2].a[row / 8 + k / 8 * 2] >> (k % 2 * 16);
            const unsigned in_b = all[column * 4 + k % 8 / 2].b[k / 8] >> (k % 2 * 16);
            sum += WIDEN(static_cast<unsigned short>(in_a)) * WIDEN(static_cast<unsigned short>(in_b));
        }
        d[at] = sum;
    }
}

SHIM_WORD float shim_widen_bf16(unsigned short x) {
    return __uint_as_float(static_cast<unsigned>(x) << 16);
}

SHIM_WORD void product_bf16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, SHIM_SITE) {
    shim_product16<shim_widen_bf16>(d, a, b0, b1, "product_bf16", {file, line});
}

SHIM_WORD void product_f16(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, SHIM_SITE) {
    shim_product16<widen_f16>(d, a, b0, b1, "product_f16", {file, line});
}

SHIM_WORD int shim_byte(unsigned word, unsigned byte, bool is_signed) {
    const auto bits = static_cast<unsigned char>(word >> (8 * byte));
    return is_signed ? static_cast<signed char>(bits) : bits;
}

// m16n8k32 of bytes: lane 4 g + c has of A rows g and g + 8, columns 4 c to 4 c + 3 and the same 16 later; of B these rows,
// column g; D as above.
template <bool A_SIGNED, bool B_SIGNED>
SHIM_WORD void product_bytes(int (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, SHIM_SITE) {
    ShimFactors all[32];
    shim_exchange(all, a, b0, b1, "product_bytes", {file, line});
    const unsigned lane = shim::current->lane;
    for (unsigned at = 0; at < 4; ++at) {
        const unsigned row = lane / 4 + at / 2 * 8;
        const unsigned column = lane % 4 * 2 + at % 2;
        unsigned sum = static_cast<unsigned>(d[at]);
        for (unsigned k = 0; k < 32; ++k) {
            const unsigned in_a = all[row % 8 * 4 + k % 16 / 4].a[row / 8 + k / 16 * 2];
            const unsigned in_b = all[column * 4 + k % 16 / 4].b[k / 16];
            sum += static_cast<unsigned>(shim_byte(in_a, k % 4, A_SIGNED) * shim_byte(in_b, k % 4, B_SIGNED));
        }
        d[at] = static_cast<int>(sum);
    }
}

// Kernels of a translation unit, found by their names.
namespace shim {

struct Entry {
    Entry(const char *given, unsigned bytes, unsigned most_threads, void (*function)(const void *))
        : name(given), param_bytes(bytes), threads(most_threads), run(function), next(first) {
        first = this;
    }

    const char *name;
    unsigned param_bytes;
    // Of a block; no launch may have more.
    unsigned threads;
    void (*run)(const void *);
    Entry *next;

    static Entry *first;
};

} // namespace shim

#define KERNEL(name, Params, threads)                                                                                  \
    static void name(const Params &p);                                                                                 \
    static shim::Entry shim_entry_##name(#name, sizeof(Params), threads,                                               \
                                         [](const void *params) { name(*static_cast<const Params *>(params)); });      \
    static void name(const Params &p)

#define SHARED_MEMORY(type, name) type *name = static_cast<type *>(shim::shared_memory())
