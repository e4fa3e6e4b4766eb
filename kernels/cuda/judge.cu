// What the weights of tokens say about which of them are worth reading: as kernels/src/cpu/judge.rs and src/index/middle.rs of
// the daemon. A block judges all coded tokens of a task: at the price of the clusters, or at a lower one where that leaves more
// error than the aim.
#include "ladder.cuh"
#include "tables.cuh"

struct Judge {
    const Task *tasks;
    const Segment *segments;
    const u32 *coded;         // [clusters] a task, of select.cu
    const u32 *coded_starts;  // [clusters] a task
    const uint2 *coded_counts; // one a task
    const float *weights;     // [R, capacity] a task
    const float *spreads;     // [segments, MOST_ROWS]
    const float *lse;         // [rows]: of the answer that weights are relative to
    const float *norms;       // [rows]
    float *prices;            // one a task; afterwards the one at which tokens are read
    float *log_mass;          // [R, clusters] a task: afterwards what each coded cluster has left
    u32 *exact_rows;          // of the task: tokens that must be computed exactly
    u32 *exact_lengths;       // one a task
    u32 *value_rows;          // of the task: tokens whose value codes are read, ascending
    u32 *value_tokens;        // the same tokens' places among the weights
    u32 *value_lengths;       // one a task
    float *doubt_squares;     // [rows]: what is not read, of clusters; afterwards of tokens too
    float *doubt_sums;        // [rows]
    float target_error;
    u32 exact_bytes; // of a token: K and V
    u32 value_bytes; // of a token: codes of its value and their scale
    u32 unused;
};

// Above this variance the weight of a token says nothing about its error any more.
#define LARGEST_VARIANCE 16.0f
// The share of the target that all that is not read may be wrong by.
#define TOKENS_AIM 0.8f

// A coded cluster: where its tokens are, and what a weight of 1 is wrong by for a row.
struct Run {
    const Segment *segment;
    u32 segment_at;
    u32 cluster; // of the segment
    u32 start;   // among the weights
    u32 count;
};

__device__ __forceinline__ Run run_of(const Judge &p, const Task &task, u32 at) {
    const u32 ordinal = p.coded[task.first_cluster + at];
    u32 low = 0;
    u32 high = task.segments;
    while (high - low > 1) {
        const u32 middle = (low + high) / 2;
        if (p.segments[task.first_segment + middle].first_cluster <= ordinal) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const Segment *segment = p.segments + task.first_segment + low;
    const u32 cluster = ordinal - segment->first_cluster;
    return Run{segment, task.first_segment + low, cluster, p.coded_starts[task.first_cluster + at], segment->counts[cluster]};
}

// Errors of a weight of 1: with the mean value, and with codes.
__device__ __forceinline__ float2 errors_of(const Judge &p, const Task &task, const Run &run, u32 row) {
    const float spread = run.segment->value_spreads[run.cluster];
    const float mean = run.segment->value_mean_norms[run.cluster];
    const float answer = fmaxf(p.norms[task.first_answer + row], 1e-20f);
    const float variance =
        fminf(run.segment->key_spreads[run.cluster] * p.spreads[run.segment_at * MOST_ROWS + row], LARGEST_VARIANCE);
    const float distance = sqrtf(spread * spread + mean * mean + answer * answer);
    const float wrong =
        run.segment->value_code_error * spread + run.segment->key_code_error * sqrtf(variance) * distance;
    return float2{spread / answer, wrong / answer};
}

__device__ __forceinline__ float weight_of(const Judge &p, const Task &task, u32 row, u32 token) {
    return p.weights[task.weights + static_cast<u64>(row) * task.capacity + token];
}

// What a token is worth: the codes of its value, and all of it.
__device__ __forceinline__ float2 worths_of(const Judge &p, const Task &task, const Run &run, u32 token, float linear) {
    float2 worth = {0.0f, 0.0f};
    for (u32 row = 0; row < task.rows; ++row) {
        const float2 errors = errors_of(p, task, run, row);
        const float weight = weight_of(p, task, row, run.start + token);
        const float by_mean = weight * errors.x;
        const float by_codes = weight * errors.y;
        worth.x += by_mean * (by_mean + linear);
        worth.y += by_codes * by_codes;
    }
    return worth;
}

struct JudgeRoom {
    Together together;
    Ladder ladder;
    float squares[MOST_ROWS];
    float sums[MOST_ROWS];
};

// What stays unread at a price, for each row, beside what is in doubt already; to shared memory. Returns the largest error.
__device__ __forceinline__ float doubt_at(const Judge &p, const Task &task, u32 clusters, float price, float linear, JudgeRoom &room) {
    const float least_value = price * static_cast<float>(p.value_bytes);
    const float least_exact = price * static_cast<float>(p.exact_bytes);
    float worst = 0.0f;
    for (u32 row = 0; row < task.rows; ++row) {
        float squares = 0.0f;
        float sums = 0.0f;
        for (u32 at = threadIdx.x / WARP; at < clusters; at += CHOOSE_WARPS) {
            const Run run = run_of(p, task, at);
            const float2 errors = errors_of(p, task, run, row);
            for (u32 token = threadIdx.x % WARP; token < run.count; token += WARP) {
                const float2 worth = worths_of(p, task, run, token, linear);
                if (worth.y >= least_exact) {
                    continue;
                }
                const float weight = weight_of(p, task, row, run.start + token);
                const float by_codes = weight * errors.y;
                const float by_mean = worth.x >= least_value ? 0.0f : weight * errors.x;
                squares += by_codes * by_codes + by_mean * by_mean;
                sums += by_mean;
            }
        }
        squares = block_sum(squares, room.together) + p.doubt_squares[task.first_answer + row];
        sums = block_sum(sums, room.together) + p.doubt_sums[task.first_answer + row];
        worst = fmaxf(worst, error_of(squares, sums));
        if (threadIdx.x == 0) {
            room.squares[row] = squares;
            room.sums[row] = sums;
        }
    }
    __syncthreads();
    return worst;
}

// A price at which what stays unread is within the aim.
__device__ __forceinline__ float lowered(const Judge &p, const Task &task, u32 clusters, float price, float linear, JudgeRoom &room) {
    u32 least = RUNGS;
    for (u32 first = 0; first < task.rows; first += BAND) {
        clear(room.ladder);
        for (u32 at = threadIdx.x / WARP; at < clusters; at += CHOOSE_WARPS) {
            const Run run = run_of(p, task, at);
            for (u32 token = threadIdx.x % WARP; token < run.count; token += WARP) {
                const float2 worth = worths_of(p, task, run, token, linear);
                const u32 value = rung_of(worth.x / static_cast<float>(p.value_bytes));
                const u32 exact = rung_of(worth.y / static_cast<float>(p.exact_bytes));
                for (u32 row = 0; row < BAND && first + row < task.rows; ++row) {
                    const float2 errors = errors_of(p, task, run, first + row);
                    const float weight = weight_of(p, task, first + row, run.start + token);
                    // Worths here are by the byte, so that a rung's unit is too small for what a token has: by its bytes.
                    const float by_mean = weight * errors.x;
                    const float by_codes = weight * errors.y;
                    add(room.ladder, value, row, by_mean * by_mean / static_cast<float>(p.value_bytes),
                        by_mean / sqrtf(static_cast<float>(p.value_bytes)));
                    add(room.ladder, exact, row, by_codes * by_codes / static_cast<float>(p.value_bytes), 0.0f);
                }
            }
        }
        // Everything on the ladder is in units of the bytes of a value: so is the aim, and so is what is in doubt already.
        const float unit = static_cast<float>(p.value_bytes);
        __syncthreads();
        if (threadIdx.x < BAND && first + threadIdx.x < task.rows) {
            room.squares[threadIdx.x] = p.doubt_squares[task.first_answer + first + threadIdx.x] / unit;
            room.sums[threadIdx.x] = p.doubt_sums[task.first_answer + first + threadIdx.x] / sqrtf(unit);
        }
        find_least(room.ladder, task.rows - first, TOKENS_AIM * p.target_error / sqrtf(unit), room.squares, room.sums);
        least = smaller(least, room.ladder.least);
        __syncthreads();
    }
    return least < RUNGS ? fminf(price, worth_of(least)) : price;
}

// Lists the tokens that are read, and leaves the clusters what these have not taken. In rounds of a cluster a warp, so that the
// lists are in order.
__device__ __forceinline__ void settle(const Judge &p, const Task &task, u32 clusters, float price, float linear, JudgeRoom &room) {
    const float least_value = price * static_cast<float>(p.value_bytes);
    const float least_exact = price * static_cast<float>(p.exact_bytes);
    const u32 lane = threadIdx.x % WARP;
    u32 exacts = 0;
    u32 values = 0;
    for (u32 start = 0; start < clusters; start += CHOOSE_WARPS) {
        const u32 at = start + threadIdx.x / WARP;
        const bool there = at < clusters;
        const Run run = there ? run_of(p, task, at) : Run{nullptr, 0, 0, 0, 0};
        // A lane takes neighbouring tokens, so that the order of lanes is that of tokens.
        const u32 each = (run.count + WARP - 1) / WARP;
        const u32 first = smaller(lane * each, run.count);
        const u32 end = smaller(first + each, run.count);
        uint2 mine = {0, 0};
        for (u32 token = first; token < end; ++token) {
            const float2 worth = worths_of(p, task, run, token, linear);
            mine.x += worth.y >= least_exact ? 1 : 0;
            mine.y += worth.y < least_exact && worth.x >= least_value ? 1 : 0;
        }
        const uint2 exact_before = block_before(mine.x, room.together);
        const uint2 value_before = block_before(mine.y, room.together);
        u32 exact_to = task.first_listed + exacts + exact_before.x;
        u32 value_to = task.first_listed + values + value_before.x;
        for (u32 token = first; token < end; ++token) {
            const float2 worth = worths_of(p, task, run, token, linear);
            const u32 row = run.segment->first_rows[run.cluster] + token;
            if (worth.y >= least_exact) {
                p.exact_rows[exact_to++] = row;
            } else if (worth.x >= least_value) {
                p.value_rows[value_to] = row;
                p.value_tokens[value_to++] = run.start + token;
            }
        }
        exacts += exact_before.y;
        values += value_before.y;
        for (u32 row = 0; row < task.rows; ++row) {
            float left = 0.0f;
            for (u32 token = first; token < end; ++token) {
                const bool exact = worths_of(p, task, run, token, linear).y >= least_exact;
                left += exact ? 0.0f : weight_of(p, task, row, run.start + token);
            }
            left = warp_sum(left);
            if (there && lane == 0) {
                const u64 entry = task.entries + static_cast<u64>(row) * task.clusters + run.segment->first_cluster + run.cluster;
                const float reference = p.lse[task.first_answer + row];
                p.log_mass[entry] = left > 0.0f ? log2_fast(left) * LN_2 + reference : NO_MASS;
            }
        }
    }
    if (threadIdx.x == 0) {
        p.exact_lengths[blockIdx.x] = exacts;
        p.value_lengths[blockIdx.x] = values;
    }
}

KERNEL(judge, Judge, CHOOSE_THREADS) {
    SHARED_MEMORY(JudgeRoom, shared);
    const Task &task = p.tasks[blockIdx.x];
    const u32 clusters = p.coded_counts[blockIdx.x].x;
    const float linear = 2.0f * COHERENCE * CLUSTERS_AIM * p.target_error;
    float price = p.prices[blockIdx.x];
    if (clusters > 0 && doubt_at(p, task, clusters, price, linear, *shared) > TOKENS_AIM * p.target_error) {
        price = lowered(p, task, clusters, price, linear, *shared);
        doubt_at(p, task, clusters, price, linear, *shared);
    }
    settle(p, task, clusters, price, linear, *shared);
    __syncthreads();
    if (clusters > 0 && threadIdx.x < task.rows) {
        p.doubt_squares[task.first_answer + threadIdx.x] = shared->squares[threadIdx.x];
        p.doubt_sums[task.first_answer + threadIdx.x] = shared->sums[threadIdx.x];
    }
    if (threadIdx.x == 0) {
        p.prices[blockIdx.x] = price;
    }
}
