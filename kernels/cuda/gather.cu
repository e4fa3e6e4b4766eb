// Blocks that are missing in the cache of the device, copied out of the host's pinned memory: reads of 16 bytes straight across
// the bus, no host thread and no copy engine in between. How many there are stands in device memory.
#include "tables.cuh"

#define GATHER_THREADS 128u
#define GATHER_WARPS (GATHER_THREADS / WARP)
// Loads that a lane has under way: the bus answers after microseconds.
#define GATHER_AHEAD 8u

// One block's way.
struct Move {
    Block from;
    u64 to_keys;
    u64 to_values;
};

struct Gather {
    const Move *moves;
    const u32 *count;
    u32 key_bytes; // of a block; a multiple of 16
    u32 value_bytes;
};

__device__ __forceinline__ void copy(const u8 *from, u8 *to, u32 bytes) {
    const u32 lane = threadIdx.x % WARP;
    for (u32 start = 0; start < bytes; start += GATHER_AHEAD * WARP * 16) {
        uint4 words[GATHER_AHEAD];
#pragma unroll
        for (u32 ahead = 0; ahead < GATHER_AHEAD; ++ahead) {
            const u32 at = start + (ahead * WARP + lane) * 16;
            words[ahead] = at < bytes ? load16_once(from + at) : uint4{0, 0, 0, 0};
        }
#pragma unroll
        for (u32 ahead = 0; ahead < GATHER_AHEAD; ++ahead) {
            const u32 at = start + (ahead * WARP + lane) * 16;
            if (at < bytes) {
                store16(to + at, words[ahead]);
            }
        }
    }
}

// A warp a block, by turns: the grid is as large as the device can have under way, not as there are blocks.
KERNEL(gather_blocks, Gather, GATHER_THREADS) {
    const u32 warps = gridDim.x * GATHER_WARPS;
    const u32 count = *p.count;
    for (u32 at = blockIdx.x * GATHER_WARPS + threadIdx.x / WARP; at < count; at += warps) {
        const Move move = p.moves[at];
        copy(move.from.keys, reinterpret_cast<u8 *>(move.to_keys), p.key_bytes);
        copy(move.from.values, reinterpret_cast<u8 *>(move.to_values), p.value_bytes);
    }
}
