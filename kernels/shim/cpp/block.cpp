#include "block.hpp"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>

#include "watch.hpp"

namespace shim {

thread_local Thread *current = nullptr;

namespace {

// A launch in progress, on this thread of the host.
struct Running {
    Launch *launch = nullptr;
    void (*kernel)(const void *) = nullptr;
    const void *params = nullptr;
    Dim3 block = {};
    Fiber scheduler;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    std::vector<std::unique_ptr<Stack>> stacks;
    std::vector<unsigned char> shared;
    std::string failure;
};

thread_local Running running;

void leave() {
    Thread *thread = current;
    switch_to(thread->fiber, running.scheduler);
}

[[noreturn]] void end_thread() {
    current->state = State::ended;
    current->warp->alive &= ~(1u << current->lane);
    leave();
    std::abort();
}

void enter_thread() {
    running.kernel(running.params);
    end_thread();
}

void prepare(unsigned threads) {
    const unsigned warps = (threads + LANES - 1) / LANES;
    running.warps.assign(warps, Warp());
    while (running.stacks.size() < threads) {
        running.stacks.push_back(std::make_unique<Stack>());
    }
    running.threads.resize(threads);
    for (unsigned at = 0; at < threads; ++at) {
        Thread &thread = running.threads[at];
        Warp &warp = running.warps[at / LANES];
        thread = Thread{{at, 0, 0}, at, at % LANES, &warp, State::ready, {}, thread.fiber, running.stacks[at].get()};
        warp.alive |= 1u << thread.lane;
        begin(thread.fiber, *thread.stack, enter_thread);
    }
}

// How many threads are in a state, and the place of the first.
unsigned count(State state, const Thread **first) {
    unsigned found = 0;
    for (const Thread &thread : running.threads) {
        if (thread.state == state) {
            if (found == 0 && first != nullptr) {
                *first = &thread;
            }
            ++found;
        }
    }
    return found;
}

std::string sentence(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}

// Nobody can go on: a barrier that all have reached, the end, or a mistake, which is returned.
std::string settle(bool &ended) {
    const Thread *lost = nullptr;
    const Thread *waiting = nullptr;
    const unsigned in_warp = count(State::in_warp, &lost);
    const unsigned at_barrier = count(State::at_barrier, &waiting);
    const unsigned gone = count(State::ended, nullptr);
    if (in_warp > 0) {
        return sentence("thread %u waits at %s:%d for lanes that never come (mask %08x, arrived %08x)", lost->linear,
                        lost->site.file, lost->site.line, lost->warp->mask, lost->warp->arrived);
    }
    if (at_barrier == 0) {
        ended = true;
        return {};
    }
    if (gone > 0) {
        return sentence("%u threads wait at the barrier of %s:%d, and %u have ended without it", at_barrier,
                        waiting->site.file, waiting->site.line, gone);
    }
    for (Thread &thread : running.threads) {
        if (thread.site.line != waiting->site.line || std::strcmp(thread.site.file, waiting->site.file) != 0) {
            return sentence("thread %u waits at the barrier of line %d, thread %u at that of line %d", waiting->linear,
                            waiting->site.line, thread.linear, thread.site.line);
        }
    }
    for (Thread &thread : running.threads) {
        thread.state = State::ready;
    }
    watch_barrier();
    return {};
}

std::string run_block() {
    bool backwards = false;
    for (bool ended = false; !ended;) {
        bool ran = false;
        const unsigned threads = static_cast<unsigned>(running.threads.size());
        for (unsigned turn = 0; turn < threads; ++turn) {
            Thread &thread = running.threads[backwards ? threads - 1 - turn : turn];
            if (thread.state != State::ready) {
                continue;
            }
            ran = true;
            current = &thread;
            switch_to(running.scheduler, thread.fiber);
            current = nullptr;
            if (!running.failure.empty()) {
                return running.failure;
            }
        }
        // No order of the threads is the right one.
        backwards = !backwards;
        if (!ran) {
            std::string mistake = settle(ended);
            if (!mistake.empty()) {
                return mistake;
            }
        }
    }
    return {};
}

} // namespace

std::string run(Launch &launch, void (*kernel)(const void *), const void *params) {
    running.launch = &launch;
    running.kernel = kernel;
    running.params = params;
    running.failure.clear();
    watch_launch(launch);
    for (unsigned z = 0; z < launch.grid.z; ++z) {
        for (unsigned y = 0; y < launch.grid.y; ++y) {
            for (unsigned x = 0; x < launch.grid.x; ++x) {
                running.block = {x, y, z};
                // Nothing is in shared memory when a block begins; as numbers these bytes are NaN.
                running.shared.assign(launch.shared_bytes + 16, 0xff);
                prepare(launch.threads);
                watch_block(static_cast<unsigned char *>(shared_memory()), launch.shared_bytes);
                const std::string mistake = run_block();
                if (!mistake.empty()) {
                    return std::string(launch.kernel) + ", block (" + std::to_string(x) + ", " + std::to_string(y) +
                           ", " + std::to_string(z) + "): " + mistake;
                }
            }
        }
    }
    return {};
}

Dim3 thread_index() {
    return current->index;
}

Dim3 block_index() {
    return running.block;
}

Dim3 block_size() {
    return {running.launch->threads, 1, 1};
}

Dim3 grid_size() {
    return running.launch->grid;
}

void *shared_memory() {
    const auto start = reinterpret_cast<std::uintptr_t>(running.shared.data());
    return reinterpret_cast<void *>((start + 15) & ~std::uintptr_t{15});
}

void barrier(Site site) {
    current->state = State::at_barrier;
    current->site = site;
    leave();
}

const unsigned char (*meet(unsigned mask, const char *what, Site site, const void *mine, std::size_t bytes,
                           bool orders))[SLOT] {
    Thread &thread = *current;
    Warp &warp = *thread.warp;
    if ((mask >> thread.lane & 1) == 0) {
        fail("lane %u calls %s at %s:%d and is not in its mask", thread.lane, what, site.file, site.line);
    }
    if ((mask & ~warp.alive) != 0) {
        fail("%s at %s:%d waits for lanes that have ended (mask %08x, alive %08x)", what, site.file, site.line, mask,
             warp.alive);
    }
    if (warp.arrived == 0) {
        warp.mask = mask;
        warp.what = what;
        warp.site = site;
    } else if (warp.mask != mask || std::strcmp(warp.what, what) != 0 || warp.site.line != site.line) {
        fail("lanes of a warp part: %s at line %d with mask %08x, %s at line %d with mask %08x", warp.what,
             warp.site.line, warp.mask, what, site.line, mask);
    }
    const unsigned turn = warp.turn;
    std::memcpy(warp.slots[turn][thread.lane], mine, bytes);
    warp.arrived |= 1u << thread.lane;
    if (warp.arrived == mask) {
        warp.arrived = 0;
        warp.turn ^= 1;
        if (orders) {
            ++warp.epoch;
        }
        for (Thread &other : running.threads) {
            if (other.warp == &warp && other.state == State::in_warp) {
                other.state = State::ready;
            }
        }
    } else {
        thread.state = State::in_warp;
        thread.site = site;
        leave();
    }
    return warp.slots[turn];
}

void fail(const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (current == nullptr) {
        std::fprintf(stderr, "shim: %s\n", text);
        std::abort();
    }
    running.failure = "thread " + std::to_string(current->linear) + ": " + text;
    leave();
    std::abort();
}

} // namespace shim
