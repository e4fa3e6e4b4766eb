// What the threads of a block do together when one block chooses for a whole task: sums, places in a list, a ladder of worths.
// All of it comes out the same every time: floats are added in a fixed order, and what has none is added in integers.
#pragma once

#include "device.cuh"

#define CHOOSE_THREADS 512u
#define CHOOSE_WARPS (CHOOSE_THREADS / WARP)

// Shared memory of these functions.
struct Together {
    float floats[CHOOSE_WARPS];
    u32 counts[CHOOSE_WARPS];
    u32 histogram[256];
    u32 found[2];
};

__device__ __forceinline__ float block_sum(float x, Together &together) {
    x = warp_sum(x);
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        together.floats[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    float all = 0.0f;
    for (u32 warp = 0; warp < CHOOSE_WARPS; ++warp) {
        all += together.floats[warp];
    }
    return all;
}

__device__ __forceinline__ float block_max(float x, Together &together) {
    x = warp_max(x);
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        together.floats[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    float all = together.floats[0];
    for (u32 warp = 1; warp < CHOOSE_WARPS; ++warp) {
        all = fmaxf(all, together.floats[warp]);
    }
    return all;
}

// The sum over the threads before this one, and over all.
__device__ __forceinline__ uint2 block_before(u32 x, Together &together) {
    u32 up_to_here = x;
    for (u32 lanes = 1; lanes < WARP; lanes *= 2) {
        const u32 other = __shfl_up_sync(ALL_LANES, up_to_here, lanes);
        up_to_here += threadIdx.x % WARP >= lanes ? other : 0;
    }
    __syncthreads();
    if (threadIdx.x % WARP == WARP - 1) {
        together.counts[threadIdx.x / WARP] = up_to_here;
    }
    __syncthreads();
    u32 before = 0;
    u32 all = 0;
    for (u32 warp = 0; warp < CHOOSE_WARPS; ++warp) {
        before += warp < threadIdx.x / WARP ? together.counts[warp] : 0;
        all += together.counts[warp];
    }
    return uint2{before + up_to_here - x, all};
}
