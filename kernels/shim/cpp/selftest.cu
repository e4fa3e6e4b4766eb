// Kernels that the shim is tested with: what it must emulate, and mistakes that it must find.

struct Plain {
    const unsigned *from;
    unsigned *to;
    unsigned count;
    unsigned flaw;
};

// Sums in shared memory by halves.
KERNEL(self_sum, Plain, 256) {
    SHARED_MEMORY(unsigned, sums);
    const unsigned thread = threadIdx.x;
    const unsigned at = blockIdx.x * blockDim.x + thread;
    sums[thread] = at < p.count ? p.from[at] : 0;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (thread < half) {
            sums[thread] += sums[thread + half];
        }
        // With a flaw the barrier is missing once.
        if (p.flaw != half) {
            __syncthreads();
        }
    }
    if (thread == 0) {
        atomicAdd(p.to, sums[0]);
    }
}

// Sums by shuffles, then a vote.
KERNEL(self_warp, Plain, 256) {
    const unsigned at = threadIdx.x;
    unsigned sum = p.from[at];
    for (int lanes = 16; lanes > 0; lanes /= 2) {
        sum += __shfl_xor_sync(0xffffffff, sum, lanes);
    }
    const unsigned odd = __ballot_sync(0xffffffff, p.from[at] % 2);
    const unsigned before = __shfl_up_sync(0xffffffff, at, 1);
    p.to[3 * at] = sum;
    p.to[3 * at + 1] = odd;
    p.to[3 * at + 2] = before;
}

// Half of the threads wait at a barrier that the others never reach, or at another one, or lanes of a warp part.
KERNEL(self_part, Plain, 256) {
    const unsigned at = threadIdx.x;
    if (p.flaw == 0 && at < 16) {
        __syncthreads();
    }
    if (p.flaw == 1) {
        if (at % 2 == 0) {
            __syncthreads();
        } else {
            __syncthreads();
        }
    }
    if (p.flaw == 2 && at % 2 == 0) {
        __shfl_xor_sync(0xffffffff, at, 1);
    }
    if (p.flaw == 3 && at % 2 == 0) {
        __shfl_xor_sync(0x55555555, at, 1);
    }
    p.to[at] = at;
}

// Accesses that are wrong.
KERNEL(self_stray, Plain, 32) {
    const unsigned at = threadIdx.x;
    SHARED_MEMORY(unsigned, shared);
    switch (p.flaw) {
    case 0:
        p.to[at] = p.from[at + 1];
        break;
    case 1:
        p.to[at] = shared[at];
        break;
    case 2:
        const_cast<unsigned *>(p.from)[at] = 1;
        break;
    case 3:
        p.to[at] = load16(p.from + at).x;
        break;
    case 4:
        p.to[0] = at;
        break;
    case 5:
        // Blocks of one launch have no order.
        p.to[blockIdx.x] = blockIdx.x == 0 ? 1 : p.to[0];
        break;
    case 6:
        shared[at + 1] = at;
        break;
    case 7:
        // A lane reads what another has written with nothing between that orders memory.
        shared[at] = at;
        __ballot_sync(0xffffffff, 1);
        p.to[at] = shared[at ^ 1];
        break;
    default:
        shared[at] = at;
        __syncwarp();
        p.to[at] = shared[at ^ 1];
        break;
    }
}

// One product of matrices of each kind: lane's fragments from `from`, its results to `to`.
KERNEL(self_product, Plain, 32) {
    const unsigned lane = threadIdx.x;
    unsigned words[6];
    for (unsigned at = 0; at < 6; ++at) {
        words[at] = p.from[6 * lane + at];
    }
    const unsigned a[4] = {words[0], words[1], words[2], words[3]};
    if (p.flaw == 0) {
        float d[4] = {1, 2, 3, 4};
        product_bf16(d, a, words[4], words[5]);
        for (unsigned at = 0; at < 4; ++at) {
            p.to[4 * lane + at] = __float_as_uint(d[at]);
        }
    } else {
        int d[4] = {1, 2, 3, 4};
        product_bytes<true, false>(d, a, words[4], words[5]);
        for (unsigned at = 0; at < 4; ++at) {
            p.to[4 * lane + at] = static_cast<unsigned>(d[at]);
        }
    }
}
