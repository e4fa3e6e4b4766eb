// Products of small matrices on the tensor cores, and what of the two factors a lane must have.
//
// A lane is 4 g + c. It has of A (16 rows) rows g and g + 8, of B (8 columns) column g, and of the product rows g and g + 8,
// columns 2 c and 2 c + 1. Which numbers of k a lane has is free, as long as A and B agree: so each lane takes what stands in
// 16 neighbouring bytes of a row, and no factor passes through shared memory.
//
// Rows 0 to 7 of A are query rows, rows 8 to 15 are the same rows' rest: what is left of them when they are rounded to the
// narrow type. The sum of the two halves is as exact as wider numbers would be, at no cost, since a group of query heads
// rarely fills 16 rows.
#pragma once

#include "device.cuh"

#if !defined(WAVEKV_SHIM)

// m16n8k16.
__device__ __forceinline__ void product_bf16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void product_f16(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#define PRODUCT_BYTES(a_type, b_type)                                                                                  \
    asm("mma.sync.aligned.m16n8k32.row.col.s32." a_type "." b_type                                                     \
        ".s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                         \
        : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])                                                               \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))

// m16n8k32; each factor of signed or unsigned bytes.
template <bool A_SIGNED, bool B_SIGNED>
__device__ __forceinline__ void product_bytes(int (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
    if constexpr (A_SIGNED && B_SIGNED) {
        PRODUCT_BYTES("s8", "s8");
    } else if constexpr (A_SIGNED) {
        PRODUCT_BYTES("s8", "u8");
    } else if constexpr (B_SIGNED) {
        PRODUCT_BYTES("u8", "s8");
    } else {
        PRODUCT_BYTES("u8", "u8");
    }
}

#endif

// Element types of 16 bits, by what differs between them.
struct Bf16 {
    static __device__ __forceinline__ float widen(u16 x) { return widen_bf16(x); }
    static __device__ __forceinline__ u32 pack(float low, float high) { return pack_bf16(low, high); }
    static __device__ __forceinline__ void product(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        product_bf16(d, a, b0, b1);
    }
};

struct F16 {
    static __device__ __forceinline__ float widen(u16 x) { return widen_f16(x); }
    static __device__ __forceinline__ u32 pack(float low, float high) { return pack_f16(low, high); }
    static __device__ __forceinline__ void product(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        product_f16(d, a, b0, b1);
    }
};

// Two numbers as a pair of the narrow type, and what is left of them as another.
template <class T> __device__ __forceinline__ void split_pair(float x, float y, u32 &pair, u32 &rest) {
    pair = T::pack(x, y);
    rest = T::pack(x - T::widen(static_cast<u16>(pair)), y - T::widen(static_cast<u16>(pair >> 16)));
}
