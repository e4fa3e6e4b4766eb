// All kernels of kernels/cuda, and those that the shim is tested with, as functions of the host; and the door to them.
#include <algorithm>

#include "device_words.hpp"

namespace shim {
Entry *Entry::first = nullptr;
} // namespace shim

#define WAVEKV_SHIM 1

#include WAVEKV_KERNEL_LIST

namespace {

const shim::Entry *find(const char *name) {
    for (const shim::Entry *entry = shim::Entry::first; entry != nullptr; entry = entry->next) {
        if (std::strcmp(entry->name, name) == 0) {
            return entry;
        }
    }
    return nullptr;
}

} // namespace

extern "C" {

// As `BufferParts` and `LaunchParts` of src/ffi.rs.
struct ShimBuffer {
    const char *name;
    unsigned char *start;
    std::uint64_t bytes;
    std::uint64_t read;
    std::uint64_t written;
    std::uint32_t writable;
    std::uint32_t unused;
};

struct ShimLaunch {
    const char *kernel;
    const void *params;
    ShimBuffer *buffers;
    char *failure;
    std::uint64_t buffer_count;
    std::uint64_t failure_bytes;
    std::uint32_t param_bytes;
    std::uint32_t grid[3];
    std::uint32_t threads;
    std::uint32_t shared_bytes;
};

// Runs a launch. Returns 0, or 1 with a sentence in `failure`.
__attribute__((no_sanitize("thread"))) int shim_launch(ShimLaunch *given) {
    std::string failure;
    const shim::Entry *entry = find(given->kernel);
    if (entry == nullptr) {
        failure = std::string("there is no kernel ") + given->kernel;
    } else if (entry->param_bytes != given->param_bytes) {
        failure = std::string(given->kernel) + " has parameters of " + std::to_string(entry->param_bytes) + " bytes, not " +
                  std::to_string(given->param_bytes);
    } else if (given->threads == 0 || given->threads > entry->threads) {
        failure = std::string(given->kernel) + " is for blocks of at most " + std::to_string(entry->threads) +
                  " threads, not " + std::to_string(given->threads);
    } else {
        shim::Launch launch = {given->kernel,
                               {given->grid[0], given->grid[1], given->grid[2]},
                               given->threads,
                               given->shared_bytes,
                               {}};
        for (std::uint64_t at = 0; at < given->buffer_count; ++at) {
            const ShimBuffer &buffer = given->buffers[at];
            launch.buffers.push_back({buffer.name, buffer.start, buffer.bytes, buffer.writable != 0, 0, 0});
        }
        auto *params = const_cast<unsigned char *>(static_cast<const unsigned char *>(given->params));
        launch.buffers.push_back({"parameters", params, given->param_bytes, false, 0, 0});
        failure = shim::run(launch, entry->run, given->params);
        for (std::uint64_t at = 0; at < given->buffer_count; ++at) {
            given->buffers[at].read = launch.buffers[at].read;
            given->buffers[at].written = launch.buffers[at].written;
        }
    }
    if (failure.empty()) {
        return 0;
    }
    const std::size_t bytes = std::min<std::size_t>(failure.size(), given->failure_bytes - 1);
    std::memcpy(given->failure, failure.data(), bytes);
    given->failure[bytes] = 0;
    return 1;
}

// The name of kernel number `at`, or none; `threads` is the most that its blocks have.
__attribute__((no_sanitize("thread"))) const char *shim_kernel(std::uint32_t at, std::uint32_t *threads) {
    for (const shim::Entry *entry = shim::Entry::first; entry != nullptr; entry = entry->next) {
        if (at-- == 0) {
            *threads = entry->threads;
            return entry->name;
        }
    }
    return nullptr;
}

} // extern "C"
