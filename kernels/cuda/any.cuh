// The same as attend.cuh and estimate.cuh for every shape and type: right, not tuned.
//
// A thread has a score of its own while keys are read, and elements of the values of its own while these are summed.
#pragma once

#include "attend.cuh"
#include "estimate.cuh"

// Entries that are scored, then summed.
#define ANY_TILE 32u
// Elements of a value that a thread has at most, of 576.
#define ANY_ELEMENTS 5u

struct AnyTile {
    float weights[BAND][ANY_TILE];
    float largest[BAND];
    float total[BAND];
    float factor[BAND];
    float least[BAND];
    u32 heavy[ANY_TILE];
    Place places[ANY_TILE];
};

__device__ __forceinline__ float element_of(const u8 *row, u32 at, u32 dtype) {
    if (dtype == 2) {
        return reinterpret_cast<const float *>(row)[at];
    }
    const u16 bits = reinterpret_cast<const u16 *>(row)[at];
    return dtype == 0 ? widen_bf16(bits) : widen_f16(bits);
}

// Makes weights of the tile's logarithms; a warp has rows of its own.
__device__ inline void weigh_any(AnyTile &tile) {
    const u32 lane = threadIdx.x % WARP;
    for (u32 row = threadIdx.x / WARP; row < BAND; row += ATTEND_WARPS) {
        const float log = tile.weights[row][lane];
        const float before = tile.largest[row];
        const float now = fmaxf(before, warp_max(log));
        const float reference = now == NO_MASS ? 0.0f : now;
        const float weight = exp2_fast(log - reference);
        const float sum = warp_sum(weight);
        __syncwarp();
        tile.weights[row][lane] = weight;
        if (lane == 0) {
            const float factor = exp2_fast(before - reference);
            tile.factor[row] = factor;
            tile.largest[row] = now;
            tile.total[row] = tile.total[row] * factor + sum;
        }
    }
}

// Logarithms of a tile of tokens.
__device__ inline void score_any(const Attend &p, const Task &task, AnyTile &tile) {
    for (u32 at = threadIdx.x; at < BAND * ANY_TILE; at += ATTEND_THREADS) {
        const u32 entry = at % ANY_TILE;
        const u32 row = blockIdx.y * BAND + at / ANY_TILE;
        const Place place = tile.places[entry];
        float log = NO_MASS;
        if (place.seen != 0 && row < task.rows) {
            const float *query = task.queries + row * p.key_dim;
            float sum = 0.0f;
            for (u32 element = 0; element < p.key_dim; ++element) {
                sum += query[element] * element_of(place.keys, element, p.dtype);
            }
            log = capped(sum * task.scale, task.softcap) * LOG2_E;
        }
        tile.weights[at / ANY_TILE][entry] = log;
    }
}

// Logarithms of a tile of clusters.
__device__ inline void mass_any(const Attend &p, const Task &task, const Item &item, u32 start, AnyTile &tile) {
    const Segment &segment = p.segments[item.segment];
    for (u32 at = threadIdx.x; at < BAND * ANY_TILE; at += ATTEND_THREADS) {
        const u32 cluster = start + at % ANY_TILE;
        const u32 row = blockIdx.y * BAND + at / ANY_TILE;
        const bool there = cluster < item.end && row < task.rows;
        const u64 entry = task.entries + static_cast<u64>(row) * task.clusters + segment.first_cluster + cluster;
        tile.weights[at / ANY_TILE][at % ANY_TILE] = there ? p.log_mass[entry] * LOG2_E : NO_MASS;
    }
    __syncthreads();
    if (threadIdx.x < ANY_TILE) {
        u32 heavy = 0;
        for (u32 row = 0; row < BAND; ++row) {
            const float log = tile.weights[row][threadIdx.x];
            heavy |= log != NO_MASS && log >= tile.least[row] + p.light_share;
        }
        tile.heavy[threadIdx.x] = heavy;
    }
}

// An item of tokens or of clusters.
__device__ inline void attend_shape(const Attend &p, const Task &task, const Item &item, const u32 *list, u32 first,
                                    u32 end, u8 *shared) {
    AnyTile &tile = *reinterpret_cast<AnyTile *>(shared);
    const bool tokens = item.kind != ITEM_CLUSTERS;
    const Segment &segment = p.segments[item.segment];
    const u32 size = p.dtype == 2 ? 4 : 2;
    if (threadIdx.x < BAND) {
        tile.largest[threadIdx.x] = NO_MASS;
        tile.total[threadIdx.x] = 0.0f;
    }
    if (!tokens) {
        put_largest(p, task, tile.least);
    }
    float sums[BAND][ANY_ELEMENTS] = {};
    for (u32 start = first; start < end; start += ANY_TILE) {
        __syncthreads();
        if (tokens) {
            if (threadIdx.x < ANY_TILE) {
                tile.places[threadIdx.x] =
                    place_of(p, task, list, start + threadIdx.x, end, p.key_dim * size, p.value_dim * size);
            }
            __syncthreads();
            score_any(p, task, tile);
        } else {
            mass_any(p, task, item, start, tile);
        }
        __syncthreads();
        weigh_any(tile);
        __syncthreads();
        const u32 entries = smaller(ANY_TILE, end - start);
#pragma unroll
        for (u32 part = 0; part < ANY_ELEMENTS; ++part) {
            const u32 element = threadIdx.x + part * ATTEND_THREADS;
            if (element >= p.value_dim) {
                break;
            }
            for (u32 row = 0; row < BAND; ++row) {
                sums[row][part] *= tile.factor[row];
            }
            for (u32 entry = 0; entry < entries; ++entry) {
                float value = 0.0f;
                if (tokens) {
                    value = element_of(tile.places[entry].values, element, p.dtype);
                } else if (tile.heavy[entry] != 0) {
                    const u64 cluster = start + entry;
                    value = segment.value_mean_scales[cluster] *
                            static_cast<float>(segment.value_means[cluster * p.value_dim + element]);
                }
                for (u32 row = 0; row < BAND; ++row) {
                    sums[row][part] += tile.weights[row][entry] * value;
                }
            }
        }
    }
    __syncthreads();
    const u64 slot = (static_cast<u64>(blockIdx.x) * p.bands + blockIdx.y) * BAND;
#pragma unroll
    for (u32 part = 0; part < ANY_ELEMENTS; ++part) {
        const u32 element = threadIdx.x + part * ATTEND_THREADS;
        if (element < p.value_dim) {
            for (u32 row = 0; row < BAND; ++row) {
                const float base = tokens ? 0.0f : segment.value_base[element] * tile.total[row];
                p.outs[(slot + row) * p.value_dim + element] = sums[row][part] + base;
            }
        }
    }
    if (threadIdx.x < BAND) {
        p.sums[slot + threadIdx.x] = Peak{tile.largest[threadIdx.x], tile.total[threadIdx.x]};
    }
}
