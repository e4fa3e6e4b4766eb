// Steady, retrieval and estimation zone in one launch: a block an item and band, each of which writes a partial (merge.cu).
//
// A list of rows is as long as the device has made it: nobody on the host knows. Its items are laid out for the longest, and
// those past its end write an empty partial.
#include "any.cuh"

// The tokens of an item: a list, or none where they stand one after the other, and from where to where.
struct Tokens {
    const u32 *list;
    u32 first;
    u32 end;
};

__device__ __forceinline__ Tokens tokens_of(const Attend &p, const Task &task, const Item &item) {
    if (item.kind == ITEM_ROWS) {
        return Tokens{nullptr, item.first, item.end};
    }
    const uint2 part = part_of(p.list_lengths[item.task], item.split, item.splits);
    return Tokens{p.lists + task.first_listed, part.x, part.y};
}

template <class T, u32 D> __device__ __forceinline__ void attend(const Attend &p) {
    SHARED_MEMORY(u8, shared);
    const Item item = p.items[blockIdx.x];
    const Task &task = p.tasks[item.task];
    if (blockIdx.y * BAND >= task.rows || item.kind == ITEM_CODED) {
        return;
    }
    if (item.kind == ITEM_CLUSTERS) {
        if (item.first >= item.end) {
            finish_empty(p);
        } else if constexpr (D == 0) {
            attend_shape(p, task, item, nullptr, item.first, item.end, shared);
        } else {
            estimate_clusters<D>(p, task, item, shared);
        }
        return;
    }
    const Tokens tokens = tokens_of(p, task, item);
    if (tokens.first >= tokens.end) {
        finish_empty(p);
    } else if constexpr (D == 0) {
        attend_shape(p, task, item, tokens.list, tokens.first, tokens.end, shared);
    } else {
        attend_tokens<T, D>(p, task, tokens.list, tokens.first, tokens.end, shared);
    }
}

KERNEL(attend_bf16_64, Attend, ATTEND_THREADS) { attend<Bf16, 64>(p); }
KERNEL(attend_bf16_128, Attend, ATTEND_THREADS) { attend<Bf16, 128>(p); }
KERNEL(attend_bf16_256, Attend, ATTEND_THREADS) { attend<Bf16, 256>(p); }
KERNEL(attend_f16_64, Attend, ATTEND_THREADS) { attend<F16, 64>(p); }
KERNEL(attend_f16_128, Attend, ATTEND_THREADS) { attend<F16, 128>(p); }
KERNEL(attend_f16_256, Attend, ATTEND_THREADS) { attend<F16, 256>(p); }
KERNEL(attend_any, Attend, ATTEND_THREADS) { attend<Bf16, 0>(p); }
