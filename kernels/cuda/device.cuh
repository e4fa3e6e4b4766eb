// Words that every kernel uses: types, kernels and their shared memory, loads by 16 bytes, narrow numbers, warps.
//
// No header of CUDA is included, so that NVRTC needs nothing but these files. Under WAVEKV_SHIM the instructions that are
// written in PTX here come from kernels/shim, as twins for the host.
#pragma once

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i8 = signed char;
using i16 = short;

#define WARP 32u
#define ALL_LANES 0xffffffffu
#define NO_MASS (-__uint_as_float(0x7f800000u))
#define LOG2_E 1.44269504f
#define LN_2 0.69314718f
// Query rows that share one pass: a group of query heads, or eight of it.
#define BAND 8u

#if !defined(WAVEKV_SHIM)

#define KERNEL(name, Params, threads)                                                                                  \
    extern "C" __global__ void __launch_bounds__(threads, 1) name(const __grid_constant__ Params p)

extern __shared__ uint4 wavekv_shared[];
#define SHARED_MEMORY(type, name) type *name = reinterpret_cast<type *>(wavekv_shared)

__device__ __forceinline__ uint4 load16(const void *from) {
    return *reinterpret_cast<const uint4 *>(from);
}

__device__ __forceinline__ uint2 load8(const void *from) {
    return *reinterpret_cast<const uint2 *>(from);
}

__device__ __forceinline__ void store16(void *to, uint4 word) {
    *reinterpret_cast<uint4 *>(to) = word;
}

// Of memory that no kernel of the launch writes and that is read once: past the first-level cache.
__device__ __forceinline__ uint4 load16_once(const void *from) {
    uint4 word;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(word.x), "=r"(word.y), "=r"(word.z), "=r"(word.w)
                 : "l"(from));
    return word;
}

__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ u32 pack_f16(float low, float high) {
    u32 packed;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ float widen_f16(u16 half) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(half));
    return x;
}

__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float log2_fast(float x) {
    float y;
    asm("lg2.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif

__device__ __forceinline__ u32 smaller(u32 a, u32 b) {
    return a < b ? a : b;
}

__device__ __forceinline__ float widen_bf16(u16 x) {
    return __uint_as_float(static_cast<u32>(x) << 16);
}

__device__ __forceinline__ float warp_max(float x) {
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, lanes));
    }
    return x;
}

template <class T> __device__ __forceinline__ T warp_sum(T x) {
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        x += __shfl_xor_sync(ALL_LANES, x, lanes);
    }
    return x;
}

// Over the four lanes that have one row of a matrix product.
__device__ __forceinline__ float quad_max(float x) {
    x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
    return fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2));
}

__device__ __forceinline__ float quad_sum(float x) {
    x += __shfl_xor_sync(ALL_LANES, x, 1);
    return x + __shfl_xor_sync(ALL_LANES, x, 2);
}

// 16 bytes of a row of `row_bytes`, from byte `at` on; zeros past its end. A row may begin anywhere.
__device__ inline uint4 load_piece(const u8 *row, u32 at, u32 row_bytes) {
    if (row_bytes % 16 == 0 && at < row_bytes) {
        return load16_once(row + at);
    }
    u32 words[4] = {0, 0, 0, 0};
#pragma unroll
    for (u32 byte = 0; byte < 16; ++byte) {
        if (at + byte < row_bytes) {
            words[byte / 4] |= static_cast<u32>(row[at + byte]) << (byte % 4 * 8);
        }
    }
    return uint4{words[0], words[1], words[2], words[3]};
}

// A state of the online softmax of one row, in powers of two: the largest logarithm, and the sum relative to it.
struct Peak {
    float largest;
    float sum;
};

__device__ __forceinline__ Peak join(Peak a, Peak b) {
    const float largest = fmaxf(a.largest, b.largest);
    if (largest == NO_MASS) {
        return Peak{largest, 0.0f};
    }
    return Peak{largest, a.sum * exp2_fast(a.largest - largest) + b.sum * exp2_fast(b.largest - largest)};
}

__device__ __forceinline__ Peak quad_join(Peak peak) {
    for (int lanes = 1; lanes < 4; lanes *= 2) {
        const Peak other = {__shfl_xor_sync(ALL_LANES, peak.largest, lanes), __shfl_xor_sync(ALL_LANES, peak.sum, lanes)};
        peak = join(peak, other);
    }
    return peak;
}
