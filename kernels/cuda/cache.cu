// The block cache of the device: which blocks of the host's memory have a copy here, and which copy goes when there is no room.
//
// One block of threads keeps the tables, in two launches a step. `cache_want` looks at the rows that a step reads: blocks that are here are
// marked as used; of those that are not, each gets a slot whose block was not used in this step or in the one before (the
// clock's second chance), in order of place. `cache_admit`, after the copies are made, has the table of blocks point to them.
// Between the two, whoever reads a missing block reads it in the host's memory: it is right all the while.
#include "block.cuh"
#include "tables.cuh"

#define NO_SLOT 0xffffffffu

struct Cache {
    const Task *tasks;
    const u32 *lists;        // rows that the step reads, of the tasks
    const u32 *list_lengths; // one a task
    Block *blocks;           // where each block is read from
    const Block *homes;      // where each block is in the host's memory
    u32 *slot_of;            // [blocks]; NO_SLOT: none
    u32 *block_of;           // [slots]; NO_SLOT: free
    u32 *used;               // [slots]: the step that last read it
    u32 *wanted;             // [blocks]: the step that last missed it
    u32 *missed;             // [blocks]: room for a list
    u32 *counts;             // missed, given a slot, hits
    u32 *given;              // [slots]: blocks that have been given a slot in this step
    u8 *slots;               // [slots, block bytes]
    u64 *moves;              // [slots, 4]: as gather.cu has them
    u32 tasks_count;
    u32 blocks_count;
    u32 slots_count;
    u32 step; // counts up from 2
    u32 key_bytes; // of a block
    u32 value_bytes;
};

__device__ __forceinline__ u8 *slot_at(const Cache &p, u32 slot) {
    return p.slots + static_cast<u64>(slot) * (p.key_bytes + p.value_bytes);
}

KERNEL(cache_want, Cache, CHOOSE_THREADS) {
    SHARED_MEMORY(Together, shared);
    // Many rows are of one block: all of them write the same.
    for (u32 at = 0; at < p.tasks_count; ++at) {
        const Task &task = p.tasks[at];
        for (u32 row = threadIdx.x; row < p.list_lengths[at]; row += CHOOSE_THREADS) {
            const u32 block = task.first_block + p.lists[task.first_listed + row] / BLOCK_TOKENS;
            const u32 slot = p.slot_of[block];
            atomicMax(slot == NO_SLOT ? &p.wanted[block] : &p.used[slot], p.step);
        }
    }
    __syncthreads();
    u32 missed = 0;
    for (u32 start = 0; start < p.blocks_count; start += CHOOSE_THREADS) {
        const u32 block = start + threadIdx.x;
        const bool miss = block < p.blocks_count && p.slot_of[block] == NO_SLOT && p.wanted[block] == p.step;
        const uint2 before = block_before(miss ? 1 : 0, *shared);
        if (miss) {
            p.missed[missed + before.x] = block;
        }
        missed += before.y;
    }
    __syncthreads();
    u32 given = 0;
    u32 hits = 0;
    for (u32 start = 0; start < p.slots_count; start += CHOOSE_THREADS) {
        const u32 slot = start + threadIdx.x;
        const u32 used = slot < p.slots_count ? p.used[slot] : p.step;
        const u32 held = slot < p.slots_count ? p.block_of[slot] : NO_SLOT;
        const bool free = slot < p.slots_count && (held == NO_SLOT || used + 1 < p.step);
        const uint2 before = block_before(free ? 1 : 0, *shared);
        hits += block_before(held != NO_SLOT && used == p.step ? 1 : 0, *shared).y;
        const u32 turn = given + before.x;
        if (free && turn < missed) {
            const u32 block = p.missed[turn];
            if (held != NO_SLOT) {
                // From now on it is read at home; the slot is overwritten by a later launch.
                p.slot_of[held] = NO_SLOT;
                p.blocks[held] = p.homes[held];
            }
            p.block_of[slot] = block;
            p.used[slot] = p.step;
            p.given[turn] = slot;
            u64 *move = p.moves + 4 * turn;
            move[0] = reinterpret_cast<u64>(p.homes[block].keys);
            move[1] = reinterpret_cast<u64>(p.homes[block].values);
            move[2] = reinterpret_cast<u64>(slot_at(p, slot));
            move[3] = reinterpret_cast<u64>(slot_at(p, slot) + p.key_bytes);
        }
        given = smaller(given + before.y, missed);
    }
    if (threadIdx.x == 0) {
        p.counts[0] = missed;
        p.counts[1] = given;
        p.counts[2] = hits;
    }
}

KERNEL(cache_admit, Cache, CHOOSE_THREADS) {
    for (u32 at = threadIdx.x; at < p.counts[1]; at += CHOOSE_THREADS) {
        const u32 slot = p.given[at];
        const u32 block = p.block_of[slot];
        p.slot_of[block] = slot;
        p.blocks[block] = Block{slot_at(p, slot), slot_at(p, slot) + p.key_bytes};
    }
}
