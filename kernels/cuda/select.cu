// The choice of what is read, on the device: nobody waits for the host between scan and answer. A block chooses for a task.
//
// budget: the heaviest clusters that hold a share of the tokens (or of the clusters) are retrieved, the next estimated, the rest
// ignored; as src/index/select/budget.rs of the daemon, ties by place. adaptive: codes of the clusters that gain most, until the
// estimated error of every row is at the target, as adaptive.rs and kernels/src/cpu/appraise.rs.
#include "ladder.cuh"
#include "tables.cuh"

struct Budget {
    const Task *tasks;
    const Segment *segments;
    const float *logits; // [R, clusters] a task: what is ranked by, log masses or scores
    float *log_mass;     // [R, clusters] a task; none, afterwards, of a cluster that is not estimated
    float *shares;       // [clusters] a task: room
    u8 *zones;           // [clusters] a task
    u32 *lists;          // rows of the retrieved clusters
    u32 *list_lengths;   // one a task
    float retrieve_share;
    float estimate_share; // of the clusters
    u32 by_clusters;      // 1: a share of the clusters is retrieved; 0: of the tokens
    u32 unused;
};

// The key of a share, larger the heavier; 0 of what cannot be chosen.
__device__ __forceinline__ u32 key_of(float share) {
    return share < 0.0f ? 0 : __float_as_uint(share) + 1;
}

// A share of a whole, rounded up: a share above 0 of something is something.
__device__ __forceinline__ u32 share_of(u32 whole, float share) {
    return static_cast<u32>(ceil(static_cast<double>(whole) * static_cast<double>(share)));
}

// Where the choice ends: all above the key, and of those that have it as many as weigh `left`.
struct Threshold {
    u32 key;
    u32 left;
};

// How much a cluster counts.
__device__ __forceinline__ u32 weight_of(const Segment &segment, u32 cluster, bool by_clusters) {
    return by_clusters ? 1 : segment.counts[cluster];
}

// The heaviest clusters that come to `amount`, found a byte of the key at a time.
__device__ __forceinline__ Threshold threshold_of(const Budget &p, const Task &task, u32 amount, bool by_clusters, Together &together) {
    u32 prefix = 0;
    u32 left = amount;
    if (amount == 0) {
        return Threshold{0xffffffff, 0};
    }
    for (u32 shift = 32; shift > 0;) {
        shift -= 8;
        for (u32 bin = threadIdx.x; bin < 256; bin += CHOOSE_THREADS) {
            together.histogram[bin] = 0;
        }
        __syncthreads();
        for (u32 at = 0; at < task.segments; ++at) {
            const Segment &segment = p.segments[task.first_segment + at];
            for (u32 cluster = threadIdx.x; cluster < segment.clusters; cluster += CHOOSE_THREADS) {
                const u32 key = key_of(p.shares[task.first_cluster + segment.first_cluster + cluster]);
                const bool same = shift == 24 || key >> (shift + 8) == prefix >> (shift + 8);
                if (key != 0 && same) {
                    atomicAdd(&together.histogram[key >> shift & 255], weight_of(segment, cluster, by_clusters));
                }
            }
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            u32 bin = 255;
            u32 still = left;
            while (bin > 0 && together.histogram[bin] < still) {
                still -= together.histogram[bin];
                --bin;
            }
            together.found[0] = bin;
            together.found[1] = still;
        }
        __syncthreads();
        prefix |= together.found[0] << shift;
        left = together.found[1];
        __syncthreads();
    }
    return Threshold{prefix, left};
}

// Moves the chosen clusters that are still in the estimation zone to `zone`, in order of place; with a list, their rows are
// appended to it. Returns how many clusters and how many rows.
__device__ __forceinline__ uint2 take(const Budget &p, const Task &task, Threshold threshold, bool by_clusters, u32 zone, u32 *list,
                             Together &together) {
    u32 tied = 0;
    u32 clusters = 0;
    u32 rows = 0;
    for (u32 at = 0; at < task.segments; ++at) {
        const Segment &segment = p.segments[task.first_segment + at];
        for (u32 start = 0; start < segment.clusters; start += CHOOSE_THREADS) {
            const u32 cluster = start + threadIdx.x;
            const bool there = cluster < segment.clusters;
            const u32 place = task.first_cluster + segment.first_cluster + cluster;
            const u32 key = there ? key_of(p.shares[place]) : 0;
            const bool tie = key != 0 && key == threshold.key;
            const uint2 ties = block_before(tie ? weight_of(segment, cluster, by_clusters) : 0, together);
            const bool taken = key != 0 && (key > threshold.key || (tie && tied + ties.x < threshold.left));
            const u32 count = taken ? segment.counts[cluster] : 0;
            const uint2 before = block_before(count, together);
            const uint2 many = block_before(taken ? 1 : 0, together);
            if (taken && p.zones[place] == ZONE_ESTIMATION) {
                p.zones[place] = static_cast<u8>(zone);
            }
            for (u32 token = 0; list != nullptr && token < count; ++token) {
                list[rows + before.x + token] = segment.first_rows[cluster] + token;
            }
            tied += ties.y;
            clusters += many.y;
            rows += before.y;
        }
    }
    return uint2{clusters, rows};
}

// Which clusters can be chosen, and for each its share of the whole, mean over the rows. Returns how many, and their tokens.
__device__ __forceinline__ uint2 put_shares(const Budget &p, const Task &task, Together &together) {
    u32 clusters = 0;
    u32 tokens = 0;
    for (u32 at = 0; at < task.segments; ++at) {
        const Segment &segment = p.segments[task.first_segment + at];
        for (u32 cluster = threadIdx.x; cluster < segment.clusters; cluster += CHOOSE_THREADS) {
            const u32 ordinal = segment.first_cluster + cluster;
            const bool there = p.log_mass[task.entries + ordinal] != NO_MASS;
            p.zones[task.first_cluster + ordinal] = there ? ZONE_ESTIMATION : ZONE_NONE;
            p.shares[task.first_cluster + ordinal] = there ? 0.0f : -1.0f;
            clusters += there ? 1 : 0;
            tokens += there ? segment.counts[cluster] : 0;
        }
    }
    for (u32 row = 0; row < task.rows; ++row) {
        const float *logits = p.logits + task.entries + static_cast<u64>(row) * task.clusters;
        float largest = NO_MASS;
        for (u32 ordinal = threadIdx.x; ordinal < task.clusters; ordinal += CHOOSE_THREADS) {
            if (p.log_mass[task.entries + ordinal] != NO_MASS) {
                largest = fmaxf(largest, logits[ordinal]);
            }
        }
        largest = block_max(largest, together);
        float sum = 0.0f;
        for (u32 ordinal = threadIdx.x; ordinal < task.clusters; ordinal += CHOOSE_THREADS) {
            if (p.log_mass[task.entries + ordinal] != NO_MASS) {
                sum += exp2_fast((logits[ordinal] - largest) * LOG2_E);
            }
        }
        sum = block_sum(sum, together);
        const float inverse = 1.0f / (sum * static_cast<float>(task.rows));
        for (u32 ordinal = threadIdx.x; ordinal < task.clusters; ordinal += CHOOSE_THREADS) {
            if (p.log_mass[task.entries + ordinal] != NO_MASS) {
                p.shares[task.first_cluster + ordinal] += exp2_fast((logits[ordinal] - largest) * LOG2_E) * inverse;
            }
        }
    }
    const uint2 all = {block_before(clusters, together).y, block_before(tokens, together).y};
    __syncthreads();
    return all;
}

KERNEL(select_budget, Budget, CHOOSE_THREADS) {
    SHARED_MEMORY(Together, shared);
    Together &together = *shared;
    const Task &task = p.tasks[blockIdx.x];
    const uint2 all = put_shares(p, task, together);
    const bool by_clusters = p.by_clusters != 0;
    const u32 wanted = share_of(by_clusters ? all.x : all.y, p.retrieve_share);
    const Threshold retrieved = threshold_of(p, task, wanted, by_clusters, together);
    const uint2 taken =
        take(p, task, retrieved, by_clusters, ZONE_RETRIEVAL, p.lists + task.first_listed, together);
    if (threadIdx.x == 0) {
        p.list_lengths[blockIdx.x] = taken.y;
    }
    const u32 estimated = smaller(all.x, taken.x + share_of(all.x, p.estimate_share));
    __syncthreads();
    const Threshold kept = threshold_of(p, task, estimated, true, together);
    // What is not even estimated is marked first as all that is left, then the estimated are taken back.
    for (u32 ordinal = threadIdx.x; ordinal < task.clusters; ordinal += CHOOSE_THREADS) {
        u8 &zone = p.zones[task.first_cluster + ordinal];
        zone = zone == ZONE_RETRIEVAL ? zone : zone == ZONE_ESTIMATION ? ZONE_IGNORED : zone;
    }
    __syncthreads();
    u32 tied = 0;
    for (u32 start = 0; start < task.clusters; start += CHOOSE_THREADS) {
        const u32 ordinal = start + threadIdx.x;
        const u32 place = task.first_cluster + ordinal;
        const u32 key = ordinal < task.clusters ? key_of(p.shares[place]) : 0;
        const bool tie = key != 0 && key == kept.key;
        const uint2 ties = block_before(tie ? 1 : 0, together);
        const bool in = key != 0 && (key > kept.key || (tie && tied + ties.x < kept.left));
        tied += ties.y;
        if (key == 0) {
            continue;
        }
        if (in && p.zones[place] == ZONE_IGNORED) {
            p.zones[place] = ZONE_ESTIMATION;
        }
        for (u32 row = 0; row < task.rows && p.zones[place] != ZONE_ESTIMATION; ++row) {
            p.log_mass[task.entries + static_cast<u64>(row) * task.clusters + ordinal] = NO_MASS;
        }
    }
}

struct Adaptive {
    const Task *tasks;
    const Segment *segments;
    const float *log_mass;  // [R, clusters] a task
    const float *spreads;   // [segments, MOST_ROWS], of the scan
    const float *lse;       // [rows], of an answer that estimates all
    const float *norms;     // [rows]
    float *worths;          // [clusters] a task: room
    u8 *zones;              // [clusters] a task
    u32 *coded;             // [clusters] a task: the clusters whose codes are read, in order
    u32 *coded_starts;      // [clusters] a task: the tokens of those before
    uint2 *coded_segments;  // [segments]: which of `coded` are the segment's: from, to
    uint2 *coded_counts;    // one a task: clusters, tokens
    float *prices;          // one a task: squared error a byte; none: minus one
    float *doubt_squares;   // [rows]: of what is not read
    float *doubt_sums;      // [rows]
    float target_error;
    u32 token_bytes; // codes of a key and their scale
};

// What reading a cluster would gain for a row, as a share of the answer's length.
__device__ __forceinline__ float gain_of(const Adaptive &p, const Task &task, const Segment &segment, u32 segment_at, u32 row,
                                         u32 cluster) {
    const u64 entry = task.entries + static_cast<u64>(row) * task.clusters + segment.first_cluster + cluster;
    const float norm = fmaxf(p.norms[task.first_answer + row], 1e-20f);
    const float share = exp2_fast((p.log_mass[entry] - fmaxf(p.lse[task.first_answer + row], -3.4e38f)) * LOG2_E);
    const float variance = segment.key_spreads[cluster] * p.spreads[segment_at * MOST_ROWS + row];
    const float doubt = (exp2_fast(fminf(variance, 8.0f) * (0.5f * LOG2_E)) - 1.0f) / (2.0f + variance);
    const float value_norm = segment.value_mean_norms[cluster];
    const float distance = sqrtf(value_norm * value_norm + norm * norm);
    const float inside = 0.5f * segment.value_spreads[cluster] * (1.0f + doubt);
    return share * (inside + doubt * distance) / norm;
}

// Puts the estimated clusters on the ladder, for the rows of a band.
__device__ __forceinline__ void climb(const Adaptive &p, const Task &task, u32 first_row, Ladder &ladder) {
    clear(ladder);
    for (u32 at = 0; at < task.segments; ++at) {
        const u32 segment_at = task.first_segment + at;
        const Segment &segment = p.segments[segment_at];
        for (u32 cluster = threadIdx.x; cluster < segment.clusters; cluster += CHOOSE_THREADS) {
            const u32 place = task.first_cluster + segment.first_cluster + cluster;
            if (p.zones[place] != ZONE_ESTIMATION) {
                continue;
            }
            const u32 rung = rung_of(p.worths[place] / static_cast<float>(segment.counts[cluster]));
            for (u32 row = 0; row < BAND && first_row + row < task.rows; ++row) {
                const float gain = gain_of(p, task, segment, segment_at, first_row + row, cluster);
                add(ladder, rung, row, gain * gain, gain);
            }
        }
    }
    __syncthreads();
}

// Worths of all clusters, for all rows together.
__device__ __forceinline__ void put_worths(const Adaptive &p, const Task &task, float linear) {
    for (u32 at = 0; at < task.segments; ++at) {
        const u32 segment_at = task.first_segment + at;
        const Segment &segment = p.segments[segment_at];
        for (u32 cluster = threadIdx.x; cluster < segment.clusters; cluster += CHOOSE_THREADS) {
            const u32 place = task.first_cluster + segment.first_cluster + cluster;
            const bool there = p.log_mass[task.entries + segment.first_cluster + cluster] != NO_MASS;
            float worth = 0.0f;
            for (u32 row = 0; there && row < task.rows; ++row) {
                const float gain = gain_of(p, task, segment, segment_at, row, cluster);
                worth += gain * (gain + linear);
            }
            p.worths[place] = worth;
            p.zones[place] = there ? ZONE_ESTIMATION : ZONE_NONE;
        }
    }
    __syncthreads();
}

// Lists the clusters that are worth `least` a token or more.
__device__ __forceinline__ void list_coded(const Adaptive &p, const Task &task, float least, Together &together) {
    u32 clusters = 0;
    u32 tokens = 0;
    for (u32 at = 0; at < task.segments; ++at) {
        const Segment &segment = p.segments[task.first_segment + at];
        const u32 from = clusters;
        for (u32 start = 0; start < segment.clusters; start += CHOOSE_THREADS) {
            const u32 cluster = start + threadIdx.x;
            const u32 place = task.first_cluster + segment.first_cluster + cluster;
            bool coded = cluster < segment.clusters && p.zones[place] == ZONE_ESTIMATION;
            coded = coded && p.worths[place] >= least * static_cast<float>(segment.counts[cluster]);
            const uint2 before = block_before(coded ? 1 : 0, together);
            const uint2 rows = block_before(coded ? segment.counts[cluster] : 0, together);
            if (coded) {
                p.zones[place] = ZONE_CODED;
                p.coded[task.first_cluster + clusters + before.x] = segment.first_cluster + cluster;
                p.coded_starts[task.first_cluster + clusters + before.x] = tokens + rows.x;
            }
            clusters += before.y;
            tokens += rows.y;
        }
        if (threadIdx.x == 0) {
            p.coded_segments[task.first_segment + at] = uint2{from, clusters};
        }
    }
    if (threadIdx.x == 0) {
        p.coded_counts[blockIdx.x] = uint2{clusters, tokens};
    }
}

struct AdaptiveRoom {
    Together together;
    Ladder ladder;
};

KERNEL(select_adaptive, Adaptive, CHOOSE_THREADS) {
    SHARED_MEMORY(AdaptiveRoom, shared);
    Ladder &ladder = shared->ladder;
    const Task &task = p.tasks[blockIdx.x];
    const float aim = CLUSTERS_AIM * p.target_error;
    // The derivative of the squared error by a gain that is one of many: its own square, and its part in the sum.
    put_worths(p, task, 2.0f * COHERENCE * aim);
    u32 least = RUNGS;
    for (u32 row = 0; row < task.rows; row += BAND) {
        climb(p, task, row, ladder);
        find_least(ladder, task.rows - row, aim, nullptr, nullptr);
        least = smaller(least, ladder.least);
        __syncthreads();
    }
    for (u32 row = 0; row < task.rows; row += BAND) {
        if (task.rows > BAND) {
            climb(p, task, row, ladder);
        }
        if (threadIdx.x < BAND && row + threadIdx.x < task.rows) {
            float squares = 0.0f;
            float sums = 0.0f;
            for (u32 rung = 0; rung < least; ++rung) {
                squares += square_on(ladder, rung, threadIdx.x);
                sums += sum_on(ladder, rung, threadIdx.x);
            }
            p.doubt_squares[task.first_answer + row + threadIdx.x] = squares;
            p.doubt_sums[task.first_answer + row + threadIdx.x] = sums;
        }
        __syncthreads();
    }
    const bool any = least < RUNGS;
    list_coded(p, task, any ? worth_of(least) : -NO_MASS, shared->together);
    if (threadIdx.x == 0) {
        p.prices[blockIdx.x] = any ? worth_of(least) / static_cast<float>(p.token_bytes) : -1.0f;
    }
}
