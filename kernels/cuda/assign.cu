// A round of k-means on points of 16-bit integers, of many segments at once: the nearest centroid of each point, the sums of the
// clusters, and the centroids moved. All of it is exact, and so the same as kernels/src/cpu/assign.rs and points.rs make it: a
// segment has the same bytes wherever it is built.
#include "product.cuh"
#include "tables.cuh"

#define ASSIGN_THREADS 128u
#define ASSIGN_WARPS (ASSIGN_THREADS / WARP)
// Points that a warp, and that a block has.
#define WARP_POINTS 16u
#define BLOCK_POINTS (ASSIGN_WARPS * WARP_POINTS)

// Points of one k-means.
struct Part {
    const i16 *points;   // [points, elements]; of an odd dimension the last element is zero
    i16 *centroids;      // [clusters, elements]
    int *half_squares;   // [clusters]: |c|^2 / 2, rounded down
    u32 *nearest;        // [points]
    int *sums;           // [clusters, elements]
    u32 *counts;         // [clusters]
    u32 points_count;
    u32 clusters;
};

struct Assign {
    const Part *parts;
    u32 elements; // of a row, even
    u32 unused;
};

// Eight integers of 16 bits as eight low bytes, which count from 0, and eight high ones, which have the sign.
__device__ __forceinline__ void split_bytes(uint4 word, u32 (&low)[2], u32 (&high)[2]) {
    low[0] = __byte_perm(word.x, word.y, 0x6420);
    low[1] = __byte_perm(word.z, word.w, 0x6420);
    high[0] = __byte_perm(word.x, word.y, 0x7531);
    high[1] = __byte_perm(word.z, word.w, 0x7531);
}

struct Best {
    int gain;
    u32 cluster;
};

// The larger gain; of equal ones the lower cluster.
__device__ __forceinline__ Best better(Best a, Best b) {
    return b.gain > a.gain || (b.gain == a.gain && b.cluster < a.cluster) ? b : a;
}

// The largest p . c - |c|^2 / 2. Grid: blocks of points, parts. A product of two numbers of 16 bits is four of their bytes.
KERNEL(assign_points, Assign, ASSIGN_THREADS) {
    SHARED_MEMORY(u8, shared);
    const Part &part = p.parts[blockIdx.y];
    const u32 warp = threadIdx.x / WARP;
    const u32 lane = threadIdx.x % WARP;
    const u32 g = lane / 4;
    const u32 c = lane % 4;
    const u32 first = (blockIdx.x * ASSIGN_WARPS + warp) * WARP_POINTS;
    if (blockIdx.x * BLOCK_POINTS >= part.points_count) {
        return;
    }
    const u32 row_bytes = p.elements * 2;
    const u32 spans = (row_bytes + 63) / 64;
    const u8 *points = reinterpret_cast<const u8 *>(part.points);
    const u8 *centroids = reinterpret_cast<const u8 *>(part.centroids);
    // The points' bytes apart, as each lane wants them: four registers of low ones, four of high ones.
    u8 *mine = shared + warp * spans * 2 * WARP * 16;
    for (u32 span = 0; span < spans; ++span) {
        u32 low[2][2];
        u32 high[2][2];
        for (u32 half = 0; half < 2; ++half) {
            const u64 point = smaller(first + g + 8 * half, part.points_count - 1);
            split_bytes(load_piece(points + point * row_bytes, span * 64 + c * 16, row_bytes), low[half], high[half]);
        }
        store16(mine + (span * 2 * WARP + lane) * 16, uint4{low[0][0], low[1][0], low[0][1], low[1][1]});
        store16(mine + ((span * 2 + 1) * WARP + lane) * 16, uint4{high[0][0], high[1][0], high[0][1], high[1][1]});
    }
    __syncwarp();
    Best best[2] = {{-2147483647 - 1, 0}, {-2147483647 - 1, 0}};
    for (u32 start = 0; start < part.clusters; start += 8) {
        const u64 cluster = smaller(start + g, part.clusters - 1);
        int ones[4] = {};
        int cross[4] = {};
        int squares[4] = {};
        for (u32 span = 0; span < spans; ++span) {
            const uint4 low_word = load16(mine + (span * 2 * WARP + lane) * 16);
            const uint4 high_word = load16(mine + ((span * 2 + 1) * WARP + lane) * 16);
            const u32 point_low[4] = {low_word.x, low_word.y, low_word.z, low_word.w};
            const u32 point_high[4] = {high_word.x, high_word.y, high_word.z, high_word.w};
            u32 low[2];
            u32 high[2];
            split_bytes(load_piece(centroids + cluster * row_bytes, span * 64 + c * 16, row_bytes), low, high);
            product_bytes<false, false>(ones, point_low, low[0], low[1]);
            product_bytes<false, true>(cross, point_low, high[0], high[1]);
            product_bytes<true, false>(cross, point_high, low[0], low[1]);
            product_bytes<true, true>(squares, point_high, high[0], high[1]);
        }
#pragma unroll
        for (u32 at = 0; at < 4; ++at) {
            const u32 of = start + c * 2 + at % 2;
            if (of < part.clusters) {
                // Modulo 2^32, as it may pass that on the way; the sum does not.
                const u32 product = static_cast<u32>(ones[at]) + (static_cast<u32>(cross[at]) << 8) + (static_cast<u32>(squares[at]) << 16);
                const int gain = static_cast<int>(product - static_cast<u32>(part.half_squares[of]));
                best[at / 2] = better(best[at / 2], Best{gain, of});
            }
        }
    }
#pragma unroll
    for (u32 half = 0; half < 2; ++half) {
        for (int lanes = 1; lanes < 4; lanes *= 2) {
            const Best other = {__shfl_xor_sync(ALL_LANES, best[half].gain, lanes),
                                __shfl_xor_sync(ALL_LANES, best[half].cluster, lanes)};
            best[half] = better(best[half], other);
        }
        const u32 point = first + g + 8 * half;
        if (c == 0 && point < part.points_count) {
            part.nearest[point] = best[half].cluster;
        }
    }
}

// The sums of each cluster and its number of points. Grid: any, parts; a warp a point. Sums and counts begin as zeros.
KERNEL(add_points, Assign, ASSIGN_THREADS) {
    const Part &part = p.parts[blockIdx.y];
    const u32 lane = threadIdx.x % WARP;
    for (u32 point = blockIdx.x * ASSIGN_WARPS + threadIdx.x / WARP; point < part.points_count; point += gridDim.x * ASSIGN_WARPS) {
        const u64 cluster = part.nearest[point];
        const u64 from = static_cast<u64>(point) * p.elements;
        for (u32 element = lane; element < p.elements; element += WARP) {
            atomicAdd(&part.sums[cluster * p.elements + element], static_cast<int>(part.points[from + element]));
        }
        if (lane == 0) {
            atomicAdd(&part.counts[cluster], 1u);
        }
    }
}

// Moves each centroid to the mean of its cluster, rounded, ties to even; one without points stays. Leaves the squares, and zeros
// for the next round's sums. Grid: any, parts; a warp a centroid.
KERNEL(move_centroids, Assign, ASSIGN_THREADS) {
    const Part &part = p.parts[blockIdx.y];
    const u32 lane = threadIdx.x % WARP;
    for (u32 cluster = blockIdx.x * ASSIGN_WARPS + threadIdx.x / WARP; cluster < part.clusters; cluster += gridDim.x * ASSIGN_WARPS) {
        const u32 count = part.counts[cluster];
        const double inverse = 1.0 / static_cast<double>(count > 0 ? count : 1);
        u32 square = 0;
        for (u32 element = lane; element < p.elements; element += WARP) {
            const u64 at = static_cast<u64>(cluster) * p.elements + element;
            int x = part.centroids[at];
            if (count > 0) {
                x = static_cast<int>(rint(static_cast<double>(part.sums[at]) * inverse));
                part.centroids[at] = static_cast<i16>(x);
                part.sums[at] = 0;
            }
            square += static_cast<u32>(x * x);
        }
        square = warp_sum(square);
        // All lanes have read the count.
        __syncwarp();
        if (lane == 0) {
            part.half_squares[cluster] = static_cast<int>(square / 2);
            part.counts[cluster] = 0;
        }
    }
}
