// Clusters of a given log mass at their mean values: the estimation zone, as kernels/src/cpu/estimate.rs.
//
// A cluster that is light for every row of the band takes the base's value, and its own is not read.
#pragma once

#include "weigh.cuh"

// The largest log mass of each row of the band over all that the scan saw of the task, in powers of two.
__device__ inline void put_largest(const Attend &p, const Task &task, float *largest) {
    const u32 lane = threadIdx.x % WARP;
    for (u32 row = threadIdx.x / WARP; row < BAND; row += ATTEND_WARPS) {
        const u32 of_task = blockIdx.y * BAND + row;
        float found = NO_MASS;
        for (u32 scan = lane; of_task < task.rows && scan < task.scans; scan += WARP) {
            found = fmaxf(found, p.peaks[(task.first_scan + scan) * MOST_ROWS + of_task].largest);
        }
        found = warp_max(found);
        if (lane == 0) {
            largest[row] = found;
        }
    }
}

// Two neighbouring bytes as a pair of bf16, which has room for any of them.
__device__ __forceinline__ u32 pair_of_bytes(u32 low, u32 high, u32 byte) {
    const float x = static_cast<float>(static_cast<i8>(low >> (8 * byte)));
    const float y = static_cast<float>(static_cast<i8>(high >> (8 * byte)));
    return pack_bf16(x, y);
}

template <u32 E>
__device__ void estimate_clusters(const Attend &p, const Task &task, const Item &item, u8 *shared) {
    float *least = reinterpret_cast<float *>(shared);
    const Segment &segment = p.segments[item.segment];
    put_largest(p, task, least);
    __syncthreads();
    const u32 warp = threadIdx.x / WARP;
    const u32 lane = threadIdx.x % WARP;
    const u32 g = lane / 4;
    const u32 c = lane % 4;
    const u32 row = blockIdx.y * BAND + g;
    const float light = least[g] + p.light_share;
    const float *log_mass = p.log_mass + task.entries + static_cast<u64>(row) * task.clusters + segment.first_cluster;
    State<E> state;
    state.clear();
    for (u32 start = item.first + warp * TILE; start < item.end; start += ATTEND_WARPS * TILE) {
        float weights[4];
        u32 clusters[4];
        u32 heavy = 0;
#pragma unroll
        for (u32 entry = 0; entry < 4; ++entry) {
            const u32 cluster = start + c * 2 + entry % 2 + entry / 2 * 8;
            const bool there = cluster < item.end && row < task.rows;
            clusters[entry] = smaller(cluster, item.end - 1);
            weights[entry] = there ? log_mass[cluster] * LOG2_E : NO_MASS;
            heavy |= (weights[entry] != NO_MASS && weights[entry] >= light ? 1u : 0u) << entry;
        }
        // For any row of the band.
        for (int lanes = 4; lanes < 32; lanes *= 2) {
            heavy |= __shfl_xor_sync(ALL_LANES, heavy, lanes);
        }
        state.weigh(weights);
#pragma unroll
        for (u32 entry = 0; entry < 4; ++entry) {
            weights[entry] *= (heavy >> entry & 1) != 0 ? segment.value_mean_scales[clusters[entry]] : 0.0f;
        }
        u32 a[4];
        weights_as_factor<Bf16>(weights, a);
#pragma unroll
        for (u32 span = 0; span < E / 64; ++span) {
            uint2 words[4];
#pragma unroll
            for (u32 entry = 0; entry < 4; ++entry) {
                words[entry] = uint2{0, 0};
                if ((heavy >> entry & 1) != 0) {
                    words[entry] = load8(segment.value_means + static_cast<u64>(clusters[entry]) * E + span * 64 + g * 8);
                }
            }
#pragma unroll
            for (u32 n = 0; n < 8; ++n) {
                const bool upper = n >= 4;
                const u32 b0 = pair_of_bytes(upper ? words[0].y : words[0].x, upper ? words[1].y : words[1].x, n % 4);
                const u32 b1 = pair_of_bytes(upper ? words[2].y : words[2].x, upper ? words[3].y : words[3].x, n % 4);
                product_bf16(state.out[span][n], a, b0, b1);
            }
        }
    }
    __syncthreads();
    finish<E>(p, state, *reinterpret_cast<Joined<E> *>(shared), segment.value_base, nullptr);
}
