// A launch on the CPU: blocks one after the other, the threads of a block in turns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fibers.hpp"

namespace shim {

constexpr unsigned LANES = 32;
// Bytes that a lane may hand to the others at once: the largest fragments of a matrix product.
constexpr std::size_t SLOT = 64;

struct Dim3 {
    unsigned x, y, z;
};

// Where in a source something was called.
struct Site {
    const char *file;
    int line;
};

enum class State { ready, at_barrier, in_warp, ended };

// What the lanes of a warp hand to one another. Two sets of slots in turn: a lane can be one meeting ahead of the others.
struct Warp {
    unsigned arrived = 0;
    unsigned mask = 0;
    unsigned alive = 0;
    const char *what = nullptr;
    Site site = {};
    unsigned turn = 0;
    // Counts the meetings that order memory.
    unsigned epoch = 0;
    alignas(16) unsigned char slots[2][LANES][SLOT];
};

struct Thread {
    Dim3 index;
    unsigned linear;
    unsigned lane;
    Warp *warp;
    State state;
    Site site;
    Fiber fiber;
    const Stack *stack;
};

// A part of device memory that a launch may touch.
struct Buffer {
    const char *name;
    unsigned char *start;
    std::size_t bytes;
    bool writable;
    // What was asked for of it, in bytes, by all threads together.
    std::uint64_t read;
    std::uint64_t written;
};

struct Launch {
    const char *kernel;
    Dim3 grid;
    unsigned threads;
    std::size_t shared_bytes;
    std::vector<Buffer> buffers;
};

// Runs a launch; returns the first thing that was wrong with it, or nothing.
std::string run(Launch &launch, void (*kernel)(const void *), const void *params);

// The thread of the device that is running; none while the scheduler is.
extern thread_local Thread *current;

Dim3 thread_index();
Dim3 block_index();
Dim3 block_size();
Dim3 grid_size();
// The dynamic shared memory of the block.
void *shared_memory();

// Waits for all threads of the block.
void barrier(Site site);

// Waits for the lanes of `mask`, which all call this at the same place, and returns what each has handed over. `orders` says
// whether memory is ordered by it too.
const unsigned char (*meet(unsigned mask, const char *what, Site site, const void *mine, std::size_t bytes,
                           bool orders))[SLOT];

// Ends the launch with a sentence.
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

} // namespace shim
