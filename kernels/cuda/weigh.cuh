// Scores to softmax weights, and values summed by these weights: what attention and estimation share.
//
// A warp takes sixteen entries (tokens, or clusters) at a time against the eight query rows of a band, all in registers: no
// barrier, no shared memory until the end, when the warps of a block are joined. Lane 4 g + c has row g of the scores, entries
// 2 c, 2 c + 1, 2 c + 8 and 2 c + 9: what the tensor cores answer with, and what they want of the weights.
#pragma once

#include "product.cuh"
#include "tables.cuh"

#define ATTEND_THREADS 128u
#define ATTEND_WARPS (ATTEND_THREADS / WARP)
// Entries that a warp takes at a time.
#define TILE 16u

// What an item of attention is made of.
#define ITEM_ROWS 0u     // rows of the task, one after the other
#define ITEM_LIST 1u     // a part of the task's list of rows
#define ITEM_CLUSTERS 2u // clusters of a segment, estimated
#define ITEM_CODED 3u    // values of a part of the task's list of coded rows, see code.cu

struct Item {
    u32 task;
    u32 kind;
    u32 first;   // a row, or a cluster of the segment
    u32 end;
    u32 segment;
    u32 split;   // of a list: part `split` of `splits`
    u32 splits;
    u32 unused;
};

struct Attend {
    const Task *tasks;
    const Segment *segments;
    const Item *items;
    const Block *blocks;
    const u32 *lists;        // rows of the tasks
    const u32 *list_lengths; // one a task
    const float *log_mass;   // [R, clusters] a task
    const Peak *peaks;       // of the scan
    float *outs;             // [items, bands, BAND, E], not normalised
    Peak *sums;              // [items, bands, BAND], in powers of two
    u32 key_dim;
    u32 value_dim;
    u32 bands;
    u32 dtype;         // of K and V where the kernel is for any: 0 bf16, 1 f16, 2 f32
    float light_share; // logarithm, in powers of two: a cluster with less of the heaviest one's mass takes the base's value
    u32 unused;
};

// Part `split` of `splits` of `count` things.
__device__ __forceinline__ uint2 part_of(u32 count, u32 split, u32 splits) {
    const u64 all = count;
    return uint2{static_cast<u32>(all * split / splits), static_cast<u32>(all * (split + 1) / splits)};
}

// The softmax state of a band in the registers of a warp. E is value_dim, a multiple of 64.
template <u32 E> struct State {
    static constexpr u32 SPANS = E / 64;

    float largest;
    // Of this lane's entries only.
    float total;
    // Product n of span s has elements s * 64 + 16 c + n and s * 64 + 16 c + 8 + n of row g; what is summed by the rest of the
    // weights stands beside it.
    float out[SPANS][8][4];

    __device__ __forceinline__ void clear() {
        largest = NO_MASS;
        total = 0.0f;
#pragma unroll
        for (u32 span = 0; span < SPANS; ++span) {
#pragma unroll
            for (u32 n = 0; n < 8; ++n) {
#pragma unroll
                for (u32 at = 0; at < 4; ++at) {
                    out[span][n][at] = 0.0f;
                }
            }
        }
    }

    // Makes weights of the logarithms of this lane's four entries, and older sums relative to the same.
    __device__ __forceinline__ void weigh(float (&logs)[4]) {
        float now = fmaxf(fmaxf(logs[0], logs[1]), fmaxf(logs[2], logs[3]));
        now = fmaxf(largest, quad_max(now));
        // Nothing seen yet: any finite reference makes the weight of minus infinity zero, not NaN.
        const float reference = now == NO_MASS ? 0.0f : now;
        const float factor = exp2_fast(largest - reference);
        largest = now;
        total *= factor;
#pragma unroll
        for (u32 entry = 0; entry < 4; ++entry) {
            logs[entry] = exp2_fast(logs[entry] - reference);
            total += logs[entry];
        }
        if (factor == 1.0f) {
            return;
        }
#pragma unroll
        for (u32 span = 0; span < SPANS; ++span) {
#pragma unroll
            for (u32 n = 0; n < 8; ++n) {
#pragma unroll
                for (u32 at = 0; at < 4; ++at) {
                    out[span][n][at] *= factor;
                }
            }
        }
    }
};

// The weights of this lane's four entries as a factor of a product.
template <class T> __device__ __forceinline__ void weights_as_factor(const float (&weights)[4], u32 (&a)[4]) {
    split_pair<T>(weights[0], weights[1], a[0], a[1]);
    split_pair<T>(weights[2], weights[3], a[2], a[3]);
}

// Bytes of shared memory that joining the warps takes.
template <u32 E> struct Joined {
    Peak peaks[ATTEND_WARPS][BAND];
    float outs[ATTEND_WARPS][BAND][E];
};

// Joins the states of the block's warps and writes the partial of the item. `base` is the value that every entry has beside
// its own, `times` what each element is multiplied with; none: zero, and one.
template <u32 E>
__device__ void finish(const Attend &p, State<E> &state, Joined<E> &joined, const float *base, const float *times) {
    const u32 warp = threadIdx.x / WARP;
    const u32 g = threadIdx.x % WARP / 4;
    const u32 c = threadIdx.x % 4;
    const float total = quad_sum(state.total);
    if (c == 0) {
        joined.peaks[warp][g] = Peak{state.largest, total};
    }
#pragma unroll
    for (u32 span = 0; span < E / 64; ++span) {
#pragma unroll
        for (u32 n = 0; n < 8; ++n) {
            float *to = &joined.outs[warp][g][span * 64 + c * 16 + n];
            to[0] = state.out[span][n][0] + state.out[span][n][2];
            to[8] = state.out[span][n][1] + state.out[span][n][3];
        }
    }
    __syncthreads();
    const u64 slot = (static_cast<u64>(blockIdx.x) * p.bands + blockIdx.y) * BAND;
    for (u32 at = threadIdx.x; at < BAND * E; at += ATTEND_THREADS) {
        const u32 row = at / E;
        const u32 element = at % E;
        Peak all = joined.peaks[0][row];
        for (u32 other = 1; other < ATTEND_WARPS; ++other) {
            all = join(all, joined.peaks[other][row]);
        }
        float sum = base != nullptr ? base[element] * all.sum : 0.0f;
        for (u32 other = 0; other < ATTEND_WARPS; ++other) {
            const float theirs = joined.peaks[other][row].largest;
            if (theirs != NO_MASS) {
                sum += joined.outs[other][row][element] * exp2_fast(theirs - all.largest);
            }
        }
        p.outs[(slot + row) * E + element] = times != nullptr ? sum * times[element] : sum;
        if (element == 0) {
            p.sums[slot + row] = all;
        }
    }
}

// The partial of an item without entries.
__device__ inline void finish_empty(const Attend &p) {
    if (threadIdx.x < BAND) {
        p.sums[(static_cast<u64>(blockIdx.x) * p.bands + blockIdx.y) * BAND + threadIdx.x] = Peak{NO_MASS, 0.0f};
    }
}
