// What kernels are told of the world: tables of device addresses and places. The columns are those of a sealed segment.
//
// Letters: R query rows of a task (a group of query heads), D head_dim, E value_dim, C clusters of a segment, N tokens.
// kernels/src/cuda/tables.rs has the same structures for the host.
#pragma once

#include "device.cuh"

// One KV head of one segment.
struct Segment {
    const i8 *centroids;          // [C, D], beside key_base
    const float *centroid_scales; // [C]
    const float *key_base;        // [D]
    const float *key_profile;     // [D]
    const float *key_spreads;     // [C]
    const u32 *counts;            // [C]
    const u32 *first_rows;        // [C], rows of the task
    const uint2 *position_bounds; // [C]: first and last
    const i8 *value_means;        // [C, E], beside value_base
    const float *value_mean_scales;
    const float *value_base; // [E]
    const float *value_mean_norms;
    const float *value_spreads;
    const u8 *key_codes; // [N, half bytes], as Codes4 has them
    const u16 *key_code_scales;
    const u8 *value_codes;
    const u16 *value_code_scales;
    const float *value_profile; // [E]
    u32 clusters;
    u32 first_cluster; // of those of the task
    u32 first_row;     // of the segment's first token among the rows of the task
    u32 first_position;
    u32 end_position;
    float key_code_error;
    float value_code_error;
    u32 unused;
};

// One KV head of one layer of one sequence, for one query token.
struct Task {
    const float *queries;  // [R, D], not scaled
    const u32 *positions;  // [rows of the task]; none: all are seen
    u64 entries;           // of arrays [R, clusters]: where this task's begin
    u64 weights;           // of arrays [R, capacity]: where this task's begin
    u32 first_cluster;     // of arrays [clusters]: where this task's begin
    u32 clusters;          // of all its segments
    u32 rows;              // R, at most 32
    u32 first_segment;
    u32 segments;
    u32 first_block;       // of the table of blocks
    u32 first_scan;        // of the items of the scan
    u32 scans;
    u32 first_item;        // of the items of attention
    u32 items;
    u32 first_listed;      // of lists of rows: where this task's begin
    u32 capacity;          // of its lists: as many as it has tokens
    u32 first_answer;      // of arrays a row an entry
    u32 visible_first;     // positions that the query token sees
    u32 visible_end;
    float scale;
    float softcap;         // 0: none
    u32 unused;
};

// Most query rows of a task.
#define MOST_ROWS 32u

// Tokens of a block, which is what memory is moved by.
#define BLOCK_TOKENS 8u

// Where K and V of the tokens of a block are: in the device's memory, or pinned in the host's.
struct alignas(16) Block {
    const u8 *keys;
    const u8 *values;
};

// What a query does with a cluster.
#define ZONE_NONE 0u // hidden, or steady
#define ZONE_ESTIMATION 1u
#define ZONE_RETRIEVAL 2u
#define ZONE_CODED 3u
#define ZONE_IGNORED 4u
