// Scores of centroids, log masses of their clusters, and the softmax over them: one pass over the meta index.
//
// score = a . c, log mass = score + ln(n (1 + x + x^2 / 2)), x = var / 2, as kernels/src/cpu/scan.rs and log_mass.rs; the
// products of bytes are the same integers. A block scores the clusters of one item for a band of query rows. Every lane
// loads 16 bytes of a centroid, four neighbouring lanes 64 bytes, straight into the tensor cores' registers.
#include "product.cuh"
#include "tables.cuh"

#define SCAN_THREADS 128u
#define SCAN_WARPS (SCAN_THREADS / WARP)
// Tiles of eight clusters that a warp has under way at once.
#define SCAN_TILES 4u

// Neighbouring clusters of a segment.
struct ScanItem {
    u32 task;
    u32 segment;
    u32 first;
    u32 end;
};

struct Scan {
    const Task *tasks;
    const Segment *segments;
    const ScanItem *items;
    float *scores;   // [R, clusters] a task
    float *log_mass; // the same; none of a cluster that the query does not wholly see
    Peak *peaks;     // [items, MOST_ROWS]: of the log masses, in powers of two
    float *spreads;  // [segments, MOST_ROWS]: the variance of scores in a cluster is this times its own spread
    u32 head_dim;
    u32 first_order; // 1: spreads count as zero
};

// What a band's rows are multiplied with, in shared memory; after it, the fragments.
struct Rows {
    float factors[BAND];
    float offsets[BAND];
    float spreads[BAND];
    float seen[4]; // keeps what follows at a multiple of 16 bytes
    Peak peaks[SCAN_WARPS][BAND];
};

// Centroids of a byte an element, beside a base. Query rows are integers of 14 bits: their high bytes in rows 0 to 7 of the
// product, their low bytes in rows 8 to 15.
struct Centroids8 {
    using Sum = int;
    static constexpr u32 ELEMENT_BYTES = 1;
    static constexpr float LARGEST = 8191.0f;

    static __device__ __forceinline__ float factor(float largest, float scale) { return largest / LARGEST * scale; }
    static __device__ __forceinline__ float inverse(float largest) { return largest > 0.0f ? LARGEST / largest : 0.0f; }
    static __device__ __forceinline__ void put(u8 *high, u8 *low, u32 at, float x) {
        const int integer = __float2int_rn(x);
        const int upper = (integer + 64) >> 7;
        high[at] = static_cast<u8>(upper);
        low[at] = static_cast<u8>(integer - 128 * upper);
    }
    static __device__ __forceinline__ void product(int (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        product_bytes<true, true>(d, a, b0, b1);
    }
    static __device__ __forceinline__ float score(int high, int low, float factor, float scale) {
        return factor * scale * static_cast<float>(128 * high + low);
    }
    static __device__ __forceinline__ float scale(const Segment &segment, u32 cluster) {
        return segment.centroid_scales[cluster];
    }
    static __device__ __forceinline__ float base(const Segment &segment, u32 at) { return segment.key_base[at]; }
};

// Centroids in bf16, as they are; a query row as the sum of two bf16.
struct CentroidsBf16 {
    using Sum = float;
    static constexpr u32 ELEMENT_BYTES = 2;

    static __device__ __forceinline__ float factor(float, float scale) { return scale; }
    static __device__ __forceinline__ float inverse(float) { return 1.0f; }
    static __device__ __forceinline__ void put(u8 *high, u8 *low, u32 at, float x) {
        u32 pair = 0;
        u32 rest = 0;
        split_pair<Bf16>(x, 0.0f, pair, rest);
        reinterpret_cast<u16 *>(high)[at] = static_cast<u16>(pair);
        reinterpret_cast<u16 *>(low)[at] = static_cast<u16>(rest);
    }
    static __device__ __forceinline__ void product(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1) {
        product_bf16(d, a, b0, b1);
    }
    static __device__ __forceinline__ float score(float high, float low, float factor, float) {
        return factor * (high + low);
    }
    static __device__ __forceinline__ float scale(const Segment &, u32) { return 1.0f; }
    static __device__ __forceinline__ float base(const Segment &, u32) { return 0.0f; }
};

// Has a warp write what a query row is to the product: of each 64 bytes of a centroid the 16 that a lane meets.
template <class C>
__device__ void put_row(const Scan &p, const Task &task, const Segment &segment, u32 row, u32 band_row, Rows &rows, u8 *fragments) {
    const u32 lane = threadIdx.x % WARP;
    const float *query = task.queries + row * p.head_dim;
    float largest = 0.0f;
    float offset = 0.0f;
    float spread = 0.0f;
    for (u32 at = lane; row < task.rows && at < p.head_dim; at += WARP) {
        const float x = query[at];
        largest = fmaxf(largest, fabsf(x));
        offset += x * C::base(segment, at);
        const float deviation = x * task.scale * segment.key_profile[at];
        spread += deviation * deviation;
    }
    largest = warp_max(largest);
    offset = warp_sum(offset);
    spread = warp_sum(spread);
    if (lane == 0) {
        rows.factors[band_row] = C::factor(largest, task.scale);
        rows.offsets[band_row] = task.scale * offset;
        rows.spreads[band_row] = p.first_order ? 0.0f : spread;
    }
    const float inverse = C::inverse(largest);
    constexpr u32 IN_SPAN = 64 / C::ELEMENT_BYTES;
    constexpr u32 IN_LANE = 16 / C::ELEMENT_BYTES;
    const u32 padded = (p.head_dim + IN_SPAN - 1) / IN_SPAN * IN_SPAN;
    for (u32 at = lane; at < padded; at += WARP) {
        const float x = row < task.rows && at < p.head_dim ? query[at] * inverse : 0.0f;
        const u32 of_lane = band_row * 4 + at % IN_SPAN / IN_LANE;
        u8 *high = fragments + (at / IN_SPAN * 2 * WARP + of_lane) * 16;
        C::put(high, high + WARP * 16, at % IN_LANE, x);
    }
}

// Whether the query sees all of a cluster: else its statistics would count tokens that must not be seen.
__device__ __forceinline__ bool wholly_seen(const Task &task, const Segment &segment, u32 cluster) {
    if (segment.first_position >= task.visible_first && segment.end_position <= task.visible_end) {
        return true;
    }
    const uint2 bounds = segment.position_bounds[cluster];
    return bounds.x >= task.visible_first && bounds.y < task.visible_end;
}

template <class C, u32 DIM> __device__ void scan(const Scan &p) {
    SHARED_MEMORY(u8, shared);
    Rows &rows = *reinterpret_cast<Rows *>(shared);
    u8 *fragments = shared + sizeof(Rows);
    const ScanItem item = p.items[blockIdx.x];
    const Task &task = p.tasks[item.task];
    const Segment &segment = p.segments[item.segment];
    const u32 first_row = blockIdx.y * BAND;
    if (first_row >= task.rows) {
        return;
    }
    const u32 warp = threadIdx.x / WARP;
    const u32 lane = threadIdx.x % WARP;
    for (u32 row = warp; row < BAND; row += SCAN_WARPS) {
        put_row<C>(p, task, segment, first_row + row, row, rows, fragments);
    }
    __syncthreads();
    if (item.first == 0 && threadIdx.x < BAND && first_row + threadIdx.x < task.rows) {
        p.spreads[item.segment * MOST_ROWS + first_row + threadIdx.x] = rows.spreads[threadIdx.x];
    }

    const u32 g = lane / 4;
    const u32 c = lane % 4;
    const u32 row = first_row + g;
    const u32 row_bytes = (DIM > 0 ? DIM : p.head_dim) * C::ELEMENT_BYTES;
    const u32 spans = (row_bytes + 63) / 64;
    const float factor = rows.factors[g];
    const float offset = rows.offsets[g];
    const float spread = rows.spreads[g];
    const u8 *centroids = reinterpret_cast<const u8 *>(segment.centroids);
    const u64 entries = task.entries + static_cast<u64>(row) * task.clusters + segment.first_cluster;
    Peak peak = {NO_MASS, 0.0f};
    for (u32 start = item.first + warp * 8 * SCAN_TILES; start < item.end; start += SCAN_WARPS * 8 * SCAN_TILES) {
        typename C::Sum sums[SCAN_TILES][4] = {};
#pragma unroll(DIM > 0 ? 64 : 1)
        for (u32 span = 0; span < spans; ++span) {
            const uint4 high = load16(fragments + (span * 2 * WARP + lane) * 16);
            const uint4 low = load16(fragments + ((span * 2 + 1) * WARP + lane) * 16);
            const u32 first[4] = {high.x, low.x, high.y, low.y};
            const u32 second[4] = {high.z, low.z, high.w, low.w};
#pragma unroll
            for (u32 tile = 0; tile < SCAN_TILES; ++tile) {
                const u32 cluster = smaller(start + tile * 8 + g, item.end - 1);
                const u8 *centroid = centroids + static_cast<u64>(cluster) * row_bytes;
                const uint4 piece = DIM > 0 ? load16_once(centroid + span * 64 + c * 16)
                                            : load_piece(centroid, span * 64 + c * 16, row_bytes);
                C::product(sums[tile], first, piece.x, piece.y);
                C::product(sums[tile], second, piece.z, piece.w);
            }
        }
#pragma unroll
        for (u32 tile = 0; tile < SCAN_TILES; ++tile) {
            for (u32 column = 0; column < 2; ++column) {
                const u32 cluster = start + tile * 8 + c * 2 + column;
                if (row >= task.rows || cluster >= item.end) {
                    continue;
                }
                const float scale = C::scale(segment, cluster);
                const float score = offset + C::score(sums[tile][column], sums[tile][column + 2], factor, scale);
                const float x = 0.5f * spread * segment.key_spreads[cluster];
                const float mass = static_cast<float>(segment.counts[cluster]) * (1.0f + x + 0.5f * x * x);
                const bool seen = mass > 0.0f && wholly_seen(task, segment, cluster);
                const float log_mass = seen ? score + LN_2 * log2_fast(mass) : NO_MASS;
                p.scores[entries + cluster] = score;
                p.log_mass[entries + cluster] = log_mass;
                if (seen) {
                    peak = join(peak, Peak{log_mass * LOG2_E, 1.0f});
                }
            }
        }
    }
    peak = quad_join(peak);
    if (c == 0) {
        rows.peaks[warp][g] = peak;
    }
    __syncthreads();
    if (threadIdx.x < BAND && first_row + threadIdx.x < task.rows) {
        Peak all = rows.peaks[0][threadIdx.x];
        for (u32 other = 1; other < SCAN_WARPS; ++other) {
            all = join(all, rows.peaks[other][threadIdx.x]);
        }
        p.peaks[blockIdx.x * MOST_ROWS + first_row + threadIdx.x] = all;
    }
}

KERNEL(scan_int8_64, Scan, SCAN_THREADS) { scan<Centroids8, 64>(p); }
KERNEL(scan_int8_128, Scan, SCAN_THREADS) { scan<Centroids8, 128>(p); }
KERNEL(scan_int8_256, Scan, SCAN_THREADS) { scan<Centroids8, 256>(p); }
KERNEL(scan_int8_any, Scan, SCAN_THREADS) { scan<Centroids8, 0>(p); }
KERNEL(scan_bf16_64, Scan, SCAN_THREADS) { scan<CentroidsBf16, 64>(p); }
KERNEL(scan_bf16_128, Scan, SCAN_THREADS) { scan<CentroidsBf16, 128>(p); }
KERNEL(scan_bf16_256, Scan, SCAN_THREADS) { scan<CentroidsBf16, 256>(p); }
KERNEL(scan_bf16_any, Scan, SCAN_THREADS) { scan<CentroidsBf16, 0>(p); }
