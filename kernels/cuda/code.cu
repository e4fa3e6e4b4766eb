// Codes of half a byte an element: the weights of tokens by the codes of their keys, and the sum of what their values are beside
// the mean of their cluster; as kernels/src/cpu/code_keys.rs and code_values.rs.
//
// A byte of a row has two dimensions, half a row apart. Products are of integers: codes from 0 to 15, queries of 14 bits.
#include "any.cuh"

#define WEIGH_THREADS 128u
#define WEIGH_WARPS (WEIGH_THREADS / WARP)
// Weights stop at exp(40): such a token is read exactly anyway, and squares of weights stay finite.
#define LARGEST_EXPONENT 40.0f
#define MIDDLE 7.5f

// A part of the coded clusters of a segment.
struct WeighItem {
    u32 task;
    u32 segment;
    u32 split;
    u32 splits;
};

struct Weigh {
    const Task *tasks;
    const Segment *segments;
    const WeighItem *items;
    const u32 *coded;            // [clusters] a task, as select.cu has them
    const u32 *coded_starts;     // [clusters] a task
    const uint2 *coded_segments; // [segments]
    const float *scores;         // [R, clusters] a task
    const float *lse;            // [rows]: a weight of 1 is a mass of exp of this
    float *weights;              // [R, capacity] a task: of the tokens of the coded clusters, in order
    u32 head_dim;
    u32 unused;
};

struct CodeRows {
    float factors[BAND];
    float middles[BAND];
};

// Bytes of the codes of a row.
__device__ __forceinline__ u32 code_bytes(u32 dim) {
    return (dim + 31) / 32 * 16;
}

// Has a warp write a query row, times the profile, in integers of 14 bits: where the lanes find it that have the same 16 bytes
// of codes, low halves and high halves of bytes apart.
__device__ inline void put_code_query(const Weigh &p, const Task &task, const Segment &segment, u32 row, u32 band_row,
                                      CodeRows &rows, u8 *fragments) {
    const u32 lane = threadIdx.x % WARP;
    const u32 bytes = code_bytes(p.head_dim);
    const u32 padded = (bytes + 63) / 64 * 64;
    const float *query = task.queries + row * p.head_dim;
    float largest = 0.0f;
    for (u32 at = lane; row < task.rows && at < p.head_dim; at += WARP) {
        largest = fmaxf(largest, fabsf(query[at] * segment.key_profile[at]));
    }
    largest = warp_max(largest);
    const float inverse = largest > 0.0f ? 8191.0f / largest : 0.0f;
    int sum = 0;
    for (u32 half = 0; half < 2; ++half) {
        for (u32 byte = lane; byte < padded; byte += WARP) {
            const u32 at = byte + half * bytes;
            const bool there = row < task.rows && byte < bytes && at < p.head_dim;
            const int integer = there ? __float2int_rn(query[at] * segment.key_profile[at] * inverse) : 0;
            const int upper = (integer + 64) >> 7;
            sum += integer;
            u8 *to = fragments + ((byte / 64 * 2 + half) * 2 * WARP + band_row * 4 + byte % 64 / 16) * 16 + byte % 16;
            to[0] = static_cast<u8>(upper);
            to[WARP * 16] = static_cast<u8>(integer - 128 * upper);
        }
    }
    sum = warp_sum(sum);
    if (lane == 0) {
        rows.factors[band_row] = largest / 8191.0f * task.scale;
        rows.middles[band_row] = MIDDLE * static_cast<float>(sum);
    }
}

// Grid: items, bands. A warp has a cluster, eight tokens at a time.
KERNEL(weigh_codes, Weigh, WEIGH_THREADS) {
    SHARED_MEMORY(u8, shared);
    CodeRows &rows = *reinterpret_cast<CodeRows *>(shared);
    u8 *fragments = shared + sizeof(CodeRows);
    const WeighItem item = p.items[blockIdx.x];
    const Task &task = p.tasks[item.task];
    const Segment &segment = p.segments[item.segment];
    const uint2 listed = p.coded_segments[item.segment];
    const uint2 part = part_of(listed.y - listed.x, item.split, item.splits);
    const u32 first_row = blockIdx.y * BAND;
    if (first_row >= task.rows || part.x >= part.y) {
        return;
    }
    const u32 warp = threadIdx.x / WARP;
    const u32 lane = threadIdx.x % WARP;
    for (u32 row = warp; row < BAND; row += WEIGH_WARPS) {
        put_code_query(p, task, segment, first_row + row, row, rows, fragments);
    }
    __syncthreads();
    const u32 g = lane / 4;
    const u32 c = lane % 4;
    const u32 row = first_row + g;
    const u32 bytes = code_bytes(p.head_dim);
    for (u32 at = listed.x + part.x + warp; at < listed.x + part.y; at += WEIGH_WARPS) {
        const u32 cluster = p.coded[task.first_cluster + at] - segment.first_cluster;
        const u32 token = segment.first_rows[cluster] - segment.first_row;
        const u32 count = segment.counts[cluster];
        float beside = 0.0f;
        if (row < task.rows) {
            const u64 entry = task.entries + static_cast<u64>(row) * task.clusters + segment.first_cluster + cluster;
            beside = p.scores[entry] - p.lse[task.first_answer + row];
        }
        float *weights = p.weights + task.weights + static_cast<u64>(row) * task.capacity + p.coded_starts[task.first_cluster + at];
        for (u32 start = 0; start < count; start += 8) {
            const u64 code_row = token + smaller(start + g, count - 1);
            int sums[4] = {};
            for (u32 span = 0; span < (bytes + 63) / 64; ++span) {
                const u32 byte = span * 64 + c * 16;
                const uint4 codes =
                    byte < bytes ? load16_once(segment.key_codes + code_row * bytes + byte) : uint4{0, 0, 0, 0};
#pragma unroll
                for (u32 half = 0; half < 2; ++half) {
                    const u8 *query = fragments + ((span * 2 + half) * 2 * WARP + lane) * 16;
                    const uint4 high = load16(query);
                    const uint4 low = load16(query + WARP * 16);
                    const u32 first[4] = {high.x, low.x, high.y, low.y};
                    const u32 second[4] = {high.z, low.z, high.w, low.w};
                    product_bytes<true, false>(sums, first, codes.x >> (4 * half) & 0x0f0f0f0f, codes.y >> (4 * half) & 0x0f0f0f0f);
                    product_bytes<true, false>(sums, second, codes.z >> (4 * half) & 0x0f0f0f0f, codes.w >> (4 * half) & 0x0f0f0f0f);
                }
            }
            for (u32 column = 0; column < 2; ++column) {
                const u32 of_run = start + c * 2 + column;
                if (row >= task.rows || of_run >= count) {
                    continue;
                }
                const float product = static_cast<float>(128 * sums[column] + sums[column + 2]) - rows.middles[g];
                const float scale = widen_f16(segment.key_code_scales[token + of_run]);
                const float score = rows.factors[g] * scale * product + beside;
                weights[of_run] = exp2_fast(fminf(score, LARGEST_EXPONENT) * LOG2_E);
            }
        }
    }
}

struct AddValues {
    Attend attend;
    const float *weights;     // [R, capacity] a task
    const float *lse;         // [rows]: what weights are relative to
    const u32 *value_rows;    // of the task: tokens whose value codes are read
    const u32 *value_tokens;  // the same tokens' places among the weights
    const u32 *value_lengths; // one a task
};

// Codes of two tokens as a pair of bf16, which has room for halves up to 7.5.
__device__ __forceinline__ u32 pair_of_codes(u32 low, u32 high, u32 byte, u32 upper) {
    const u32 shift = 8 * byte + 4 * upper;
    return pack_bf16(static_cast<float>(low >> shift & 15) - MIDDLE, static_cast<float>(high >> shift & 15) - MIDDLE);
}

// Where a token's codes are, and their scale.
struct CodedPlace {
    const u8 *codes;
    float scale;
};

// The token that is `at`-th of the list; the last one, of scale zero, past the end.
__device__ __forceinline__ CodedPlace coded_place(const AddValues &p, const Task &task, const Segment &segment, u32 at, u32 end,
                                                  u32 bytes) {
    const u32 row = p.value_rows[task.first_listed + smaller(at, end - 1)];
    const u64 within = row - segment.first_row;
    return CodedPlace{segment.value_codes + within * bytes, at < end ? widen_f16(segment.value_code_scales[within]) : 0.0f};
}

// Tokens of one segment, as its profile is.
template <u32 E>
__device__ void add_codes(const AddValues &p, const Task &task, const Segment &segment, u32 first, u32 end, u8 *shared) {
    const u32 warp = threadIdx.x / WARP;
    const u32 lane = threadIdx.x % WARP;
    const u32 g = lane / 4;
    const u32 c = lane % 4;
    const u32 row = blockIdx.y * BAND + g;
    constexpr u32 BYTES = E / 2;
    State<E> state;
    state.clear();
    if (row < task.rows) {
        state.largest = p.lse[task.first_answer + row] * LOG2_E;
    }
    const float *of_row = p.weights + task.weights + static_cast<u64>(row) * task.capacity;
    for (u32 start = first + warp * TILE; start < end; start += ATTEND_WARPS * TILE) {
        float weights[4];
        const u8 *from[4];
#pragma unroll
        for (u32 entry = 0; entry < 4; ++entry) {
            const u32 at = start + c * 2 + entry % 2 + entry / 2 * 8;
            const CodedPlace place = coded_place(p, task, segment, at, end, BYTES);
            from[entry] = place.codes;
            const bool there = row < task.rows && at < end;
            weights[entry] = there ? of_row[p.value_tokens[task.first_listed + at]] * place.scale : 0.0f;
        }
        u32 a[4];
        weights_as_factor<Bf16>(weights, a);
        // Spans of 64 dimensions: low halves of bytes first, then high ones. Of 64 dimensions in all, half of the lanes have
        // low halves and half have high ones.
#pragma unroll
        for (u32 span = 0; span < E / 64; ++span) {
            const u32 dimension = span * 64 + g * 8;
            const u32 upper = dimension >= BYTES ? 1 : 0;
            uint2 words[4];
#pragma unroll
            for (u32 entry = 0; entry < 4; ++entry) {
                words[entry] = load8(from[entry] + dimension - upper * BYTES);
            }
#pragma unroll
            for (u32 n = 0; n < 8; ++n) {
                const bool later = n >= 4;
                const u32 b0 = pair_of_codes(later ? words[0].y : words[0].x, later ? words[1].y : words[1].x, n % 4, upper);
                const u32 b1 = pair_of_codes(later ? words[2].y : words[2].x, later ? words[3].y : words[3].x, n % 4, upper);
                product_bf16(state.out[span][n], a, b0, b1);
            }
        }
    }
    finish<E>(p.attend, state, *reinterpret_cast<Joined<E> *>(shared), nullptr, segment.value_profile);
}

// The same for every dimension: a thread has elements of its own.
__device__ inline void add_codes_any(const AddValues &p, const Task &task, const Segment &segment, u32 first, u32 end) {
    const u32 dim = p.attend.value_dim;
    const u32 bytes = code_bytes(dim);
    const u64 slot = (static_cast<u64>(blockIdx.x) * p.attend.bands + blockIdx.y) * BAND;
    for (u32 element = threadIdx.x; element < dim; element += ATTEND_THREADS) {
        float sums[BAND] = {};
        for (u32 at = first; at < end; ++at) {
            const CodedPlace place = coded_place(p, task, segment, at, end, bytes);
            const u32 code = place.codes[element % bytes] >> (element / bytes * 4) & 15;
            const float value = (static_cast<float>(code) - MIDDLE) * place.scale;
            for (u32 row = 0; row < BAND && blockIdx.y * BAND + row < task.rows; ++row) {
                const u64 of_row = task.weights + static_cast<u64>(blockIdx.y * BAND + row) * task.capacity;
                sums[row] += p.weights[of_row + p.value_tokens[task.first_listed + at]] * value;
            }
        }
        for (u32 row = 0; row < BAND; ++row) {
            p.attend.outs[(slot + row) * dim + element] = sums[row] * segment.value_profile[element];
        }
    }
    if (threadIdx.x < BAND) {
        const u32 row = blockIdx.y * BAND + threadIdx.x;
        const float reference = row < task.rows ? p.lse[task.first_answer + row] * LOG2_E : NO_MASS;
        p.attend.sums[slot + threadIdx.x] = Peak{reference, 0.0f};
    }
}

// The place of the first listed row that is `row` or later; the list ascends.
__device__ __forceinline__ u32 first_from(const u32 *list, u32 count, u32 row) {
    u32 low = 0;
    u32 high = count;
    while (low < high) {
        const u32 middle = (low + high) / 2;
        if (list[middle] < row) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

template <u32 E> __device__ __forceinline__ void add_values(const AddValues &p) {
    SHARED_MEMORY(u8, shared);
    const Item item = p.attend.items[blockIdx.x];
    const Task &task = p.attend.tasks[item.task];
    if (item.kind != ITEM_CODED || blockIdx.y * BAND >= task.rows) {
        return;
    }
    // The profile is the segment's: so is the item, a part of the listed tokens that are of it.
    const Segment &segment = p.attend.segments[item.segment];
    const u32 *list = p.value_rows + task.first_listed;
    const u32 count = p.value_lengths[item.task];
    const bool last = item.segment + 1 == task.first_segment + task.segments;
    const u32 from = first_from(list, count, segment.first_row);
    const u32 to = last ? count : first_from(list, count, p.attend.segments[item.segment + 1].first_row);
    const uint2 part = part_of(to - from, item.split, item.splits);
    if (part.x >= part.y) {
        finish_empty(p.attend);
    } else if constexpr (E == 0) {
        add_codes_any(p, task, segment, from + part.x, from + part.y);
    } else {
        add_codes<E>(p, task, segment, from + part.x, from + part.y, shared);
    }
}

KERNEL(add_values_64, AddValues, ATTEND_THREADS) { add_values<64>(p); }
KERNEL(add_values_128, AddValues, ATTEND_THREADS) { add_values<128>(p); }
KERNEL(add_values_256, AddValues, ATTEND_THREADS) { add_values<256>(p); }
KERNEL(add_values_any, AddValues, ATTEND_THREADS) { add_values<0>(p); }
