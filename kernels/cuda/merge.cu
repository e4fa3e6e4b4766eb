// The partials of a task to its answer, in the order of its items: the same bits whenever it is asked.
#include "weigh.cuh"

#define MERGE_THREADS 128u

struct Merge {
    const Task *tasks;
    const float *outs; // [items, bands, BAND, E]
    const Peak *sums;  // [items, bands, BAND]
    float *answers;    // [rows, E], a task's from first_answer on
    float *lse;        // [rows]; minus infinity of no token
    float *norms;      // [rows]: length of the answer
    u32 value_dim;
    u32 bands;
};

__device__ __forceinline__ float block_reduce(float x, float *of_warps, bool largest) {
    x = largest ? warp_max(x) : warp_sum(x);
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
        of_warps[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    float all = of_warps[0];
    for (u32 warp = 1; warp < MERGE_THREADS / WARP; ++warp) {
        all = largest ? fmaxf(all, of_warps[warp]) : all + of_warps[warp];
    }
    return all;
}

// A block a task and row.
KERNEL(merge, Merge, MERGE_THREADS) {
    SHARED_MEMORY(float, of_warps);
    const Task &task = p.tasks[blockIdx.x];
    const u32 row = blockIdx.y;
    if (row >= task.rows) {
        return;
    }
    const u64 step = static_cast<u64>(p.bands) * BAND;
    const u64 first = task.first_item * step + row;
    float largest = NO_MASS;
    for (u32 item = threadIdx.x; item < task.items; item += MERGE_THREADS) {
        largest = fmaxf(largest, p.sums[first + item * step].largest);
    }
    largest = block_reduce(largest, of_warps, true);
    // A sum of values alone has no mass of its own, but is relative to something too.
    float total = 0.0f;
    for (u32 item = 0; item < task.items; ++item) {
        const Peak sum = p.sums[first + item * step];
        total += sum.largest == NO_MASS ? 0.0f : sum.sum * exp2_fast(sum.largest - largest);
    }
    const float inverse = total > 0.0f ? 1.0f / total : 0.0f;
    float square = 0.0f;
    float *answer = p.answers + static_cast<u64>(task.first_answer + row) * p.value_dim;
    for (u32 element = threadIdx.x; element < p.value_dim; element += MERGE_THREADS) {
        float sum = 0.0f;
        for (u32 item = 0; item < task.items; ++item) {
            const u64 slot = first + item * step;
            const float theirs = p.sums[slot].largest;
            if (theirs != NO_MASS) {
                sum += p.outs[slot * p.value_dim + element] * exp2_fast(theirs - largest);
            }
        }
        answer[element] = sum * inverse;
        square += sum * inverse * sum * inverse;
    }
    square = block_reduce(square, of_warps, false);
    if (threadIdx.x == 0) {
        p.lse[task.first_answer + row] = total > 0.0f ? (largest + log2_fast(total)) * LN_2 : NO_MASS;
        p.norms[task.first_answer + row] = sqrtf(square);
    }
}
