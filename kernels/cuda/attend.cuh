// Exact attention of a band of query rows over tokens: one pass over K and V, FlashDecoding's parts.
//
// Every lane loads 16 bytes of a key, four neighbouring lanes 64; and of a value 16, eight lanes 128; both go straight from
// memory into the tensor cores' registers. All loads of a tile can be under way at once: 8 KiB a warp at 128 elements of bf16.
#pragma once

#include "weigh.cuh"

// Where the keys and values of a lane's token are; 32 lanes have 16 tokens twice.
struct Place {
    const u8 *keys;
    const u8 *values;
    u32 seen;
};

// The place of the token that is `at`-th of the item; that of the last one, unseen, past its end.
__device__ __forceinline__ Place place_of(const Attend &p, const Task &task, const u32 *list, u32 at, u32 end, u32 key_bytes,
                                          u32 value_bytes) {
    const u32 held = smaller(at, end - 1);
    const u32 row = list != nullptr ? list[held] : held;
    const Block block = p.blocks[task.first_block + row / BLOCK_TOKENS];
    const u32 within = row % BLOCK_TOKENS;
    u32 seen = at < end;
    if (task.positions != nullptr) {
        const u32 position = task.positions[row];
        seen = seen && position >= task.visible_first && position < task.visible_end;
    }
    return Place{block.keys + within * key_bytes, block.values + within * value_bytes, seen};
}

template <class P> __device__ __forceinline__ P *of_lane(P *mine, u32 lane) {
    return reinterpret_cast<P *>(__shfl_sync(ALL_LANES, reinterpret_cast<u64>(mine), lane));
}

// What softcap makes of a score.
__device__ __forceinline__ float capped(float score, float cap) {
    return cap > 0.0f ? cap * tanhf(score / cap) : score;
}

// Writes a query row as 16-bit numbers and their rest, where the lanes find them: of each 64 bytes of a key the 16 that a lane
// meets. The row is divided by a power of two, which is returned, so that it suits a type of small range.
template <class T>
__device__ float put_query(const Task &task, u32 row, u32 band_row, u32 dim, u8 *fragments) {
    const u32 lane = threadIdx.x % WARP;
    const float *query = task.queries + row * dim;
    float largest = 0.0f;
    for (u32 at = lane; row < task.rows && at < dim; at += WARP) {
        largest = fmaxf(largest, fabsf(query[at]));
    }
    const u32 exponent = __float_as_uint(warp_max(largest)) >> 23;
    const bool usual = exponent > 0 && exponent < 254;
    const float inverse = usual ? __uint_as_float((254 - exponent) << 23) : 1.0f;
    for (u32 at = 2 * lane; at < dim; at += 2 * WARP) {
        const float x = row < task.rows ? query[at] * inverse : 0.0f;
        const float y = row < task.rows ? query[at + 1] * inverse : 0.0f;
        u32 pair = 0;
        u32 rest = 0;
        split_pair<T>(x, y, pair, rest);
        u8 *to = fragments + (at / 32 * 2 * WARP + band_row * 4 + at % 32 / 8) * 16 + at % 8 * 2;
        *reinterpret_cast<u32 *>(to) = pair;
        *reinterpret_cast<u32 *>(to + WARP * 16) = rest;
    }
    return usual ? __uint_as_float(exponent << 23) : 1.0f;
}

// Bytes of a band's queries in fragments.
template <u32 D> struct Fragments {
    u8 bytes[D / 32 * 2 * WARP * 16];
    float factors[BAND];
};

// Scores of a tile: of row g the entries 2 c, 2 c + 1, 2 c + 8, 2 c + 9.
template <class T, u32 D>
__device__ __forceinline__ void score_tile(const Place &place, const u8 *fragments, float (&scores)[4]) {
    const u32 lane = threadIdx.x % WARP;
    const u32 g = lane / 4;
    const u32 c = lane % 4;
    const u8 *first = of_lane(place.keys, g) + c * 16;
    const u8 *second = of_lane(place.keys, g + 8) + c * 16;
    uint4 keys[D / 32][2];
#pragma unroll
    for (u32 span = 0; span < D / 32; ++span) {
        keys[span][0] = load16_once(first + span * 64);
        keys[span][1] = load16_once(second + span * 64);
    }
    float sums[2][4] = {};
#pragma unroll
    for (u32 span = 0; span < D / 32; ++span) {
        const uint4 pair = load16(fragments + (span * 2 * WARP + lane) * 16);
        const uint4 rest = load16(fragments + ((span * 2 + 1) * WARP + lane) * 16);
        const u32 low[4] = {pair.x, rest.x, pair.y, rest.y};
        const u32 high[4] = {pair.z, rest.z, pair.w, rest.w};
#pragma unroll
        for (u32 half = 0; half < 2; ++half) {
            T::product(sums[half], low, keys[span][half].x, keys[span][half].y);
            T::product(sums[half], high, keys[span][half].z, keys[span][half].w);
        }
    }
#pragma unroll
    for (u32 entry = 0; entry < 4; ++entry) {
        scores[entry] = sums[entry / 2][entry % 2] + sums[entry / 2][entry % 2 + 2];
    }
}

// Adds the values of a tile times the weights.
template <class T, u32 E>
__device__ __forceinline__ void add_tile(const Place &place, const float (&weights)[4], State<E> &state) {
    const u32 lane = threadIdx.x % WARP;
    const u32 g = lane / 4;
    const u32 c = lane % 4;
    const u8 *from[4];
#pragma unroll
    for (u32 entry = 0; entry < 4; ++entry) {
        from[entry] = of_lane(place.values, 2 * c + entry % 2 + entry / 2 * 8) + g * 16;
    }
    u32 a[4];
    weights_as_factor<T>(weights, a);
#pragma unroll
    for (u32 span = 0; span < E / 64; ++span) {
        u32 words[4][4];
#pragma unroll
        for (u32 entry = 0; entry < 4; ++entry) {
            const uint4 word = load16_once(from[entry] + span * 128);
            words[entry][0] = word.x;
            words[entry][1] = word.y;
            words[entry][2] = word.z;
            words[entry][3] = word.w;
        }
        // Element 8 g + n of the values of two neighbouring tokens is a pair.
#pragma unroll
        for (u32 n = 0; n < 8; ++n) {
            const u32 pick = n % 2 == 0 ? 0x5410 : 0x7632;
            const u32 b0 = __byte_perm(words[0][n / 2], words[1][n / 2], pick);
            const u32 b1 = __byte_perm(words[2][n / 2], words[3][n / 2], pick);
            T::product(state.out[span][n], a, b0, b1);
        }
    }
}

// An item of tokens; K and V of D elements of type T.
template <class T, u32 D>
__device__ void attend_tokens(const Attend &p, const Task &task, const u32 *list, u32 first, u32 end, u8 *shared) {
    Fragments<D> &fragments = *reinterpret_cast<Fragments<D> *>(shared);
    const u32 warp = threadIdx.x / WARP;
    const u32 lane = threadIdx.x % WARP;
    const u32 first_row = blockIdx.y * BAND;
    for (u32 row = warp; row < BAND; row += ATTEND_WARPS) {
        const float factor = put_query<T>(task, first_row + row, row, D, fragments.bytes);
        if (lane == 0) {
            fragments.factors[row] = factor * task.scale;
        }
    }
    __syncthreads();
    const float factor = fragments.factors[lane / 4];
    State<D> state;
    state.clear();
    const u32 step = ATTEND_WARPS * TILE;
    u32 start = first + warp * TILE;
    Place place = place_of(p, task, list, start + lane % TILE, end, D * 2, D * 2);
    for (; start < end; start += step) {
        // The place of the next tile is found while this one's bytes come.
        const Place next = place_of(p, task, list, start + step + lane % TILE, end, D * 2, D * 2);
        float logs[4];
        score_tile<T, D>(place, fragments.bytes, logs);
        const u32 seen = __ballot_sync(ALL_LANES, place.seen);
#pragma unroll
        for (u32 entry = 0; entry < 4; ++entry) {
            const u32 token = lane % 4 * 2 + entry % 2 + entry / 2 * 8;
            const float score = capped(logs[entry] * factor, task.softcap);
            logs[entry] = (seen >> token & 1) != 0 ? score * LOG2_E : NO_MASS;
        }
        state.weigh(logs);
        add_tile<T, D>(place, logs, state);
        place = next;
    }
    // The queries make room for the sums.
    __syncthreads();
    finish<D>(p, state, *reinterpret_cast<Joined<D> *>(shared), nullptr, nullptr);
}
