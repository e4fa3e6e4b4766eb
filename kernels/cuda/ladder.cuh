// A ladder of worths, as src/index/ladder.rs of the daemon has it: what gains alike stands on one rung, so that the least worth
// that must be read for an error is found without sorting.
//
// Rungs are added to by whoever comes, so they are integers, in units of their own rung: the same sums in any order.
#pragma once

#include "block.cuh"

#define RUNGS 256u
// A rung is the exponent and two bits of the mantissa; the lowest is 2^-60.
#define LOWEST_RUNG ((127u - 60u) << 2)
// The part of their errors that all have in common.
#define COHERENCE 0.07f
// The share of the target that the clusters which are not read may be wrong by.
#define CLUSTERS_AIM 0.55f
// Steps of a rung's unit.
#define UNIT_STEPS 268435456.0f
// What counts at most, in units of its rung: more is over every aim.
#define MOST_UNITS 4096.0f

struct Ladder {
    u64 squares[RUNGS][BAND];
    u64 sums[RUNGS][BAND];
    u32 least;
};

__device__ __forceinline__ u32 rung_of(float worth) {
    const u32 bits = __float_as_uint(fmaxf(worth, 0.0f)) >> 21;
    return bits < LOWEST_RUNG ? 0 : smaller(bits - LOWEST_RUNG, RUNGS - 1);
}

__device__ __forceinline__ float worth_of(u32 rung) {
    return rung == 0 ? 0.0f : __uint_as_float((rung + LOWEST_RUNG) << 21);
}

// The unit of squares on a rung: the least worth above it.
__device__ __forceinline__ float unit_of(u32 rung) {
    return __uint_as_float((rung + 1 + LOWEST_RUNG) << 21);
}

__device__ __forceinline__ void clear(Ladder &ladder) {
    for (u32 at = threadIdx.x; at < RUNGS * BAND; at += CHOOSE_THREADS) {
        ladder.squares[at / BAND][at % BAND] = 0;
        ladder.sums[at / BAND][at % BAND] = 0;
    }
    if (threadIdx.x == 0) {
        ladder.least = RUNGS;
    }
    __syncthreads();
}

__device__ __forceinline__ u64 in_units(float x, float unit) {
    return static_cast<u64>(fminf(x / unit, MOST_UNITS) * UNIT_STEPS);
}

// Adds what reading something of a worth would take from the squared error of a row, and from its sum of errors.
__device__ __forceinline__ void add(Ladder &ladder, u32 rung, u32 row, float square, float sum) {
    const float unit = unit_of(rung);
    atomicAdd(&ladder.squares[rung][row], in_units(square, unit));
    atomicAdd(&ladder.sums[rung][row], in_units(sum, sqrtf(unit)));
}

__device__ __forceinline__ float square_on(const Ladder &ladder, u32 rung, u32 row) {
    return static_cast<float>(ladder.squares[rung][row]) * (unit_of(rung) / UNIT_STEPS);
}

__device__ __forceinline__ float sum_on(const Ladder &ladder, u32 rung, u32 row) {
    return static_cast<float>(ladder.sums[rung][row]) * (sqrtf(unit_of(rung)) / UNIT_STEPS);
}

__device__ __forceinline__ float error_of(float squares, float sums) {
    const float coherent = COHERENCE * sums;
    return sqrtf(squares + coherent * coherent);
}

// Lowers `least` to the first rung that must be read so that the error of every row of the band is at most `aim`, given what
// else each is wrong by. RUNGS: none need be.
__device__ __forceinline__ void find_least(Ladder &ladder, u32 rows, float aim, const float *squares, const float *sums) {
    __syncthreads();
    if (threadIdx.x < smaller(rows, BAND)) {
        float square = squares != nullptr ? squares[threadIdx.x] : 0.0f;
        float sum = sums != nullptr ? sums[threadIdx.x] : 0.0f;
        u32 rung = 0;
        for (; rung < RUNGS; ++rung) {
            square += square_on(ladder, rung, threadIdx.x);
            sum += sum_on(ladder, rung, threadIdx.x);
            if (error_of(square, sum) > aim) {
                break;
            }
        }
        atomicMin(&ladder.least, rung);
    }
    __syncthreads();
}
