#include "watch.hpp"

#include <cinttypes>
#include <cstring>

namespace shim {

namespace {

constexpr std::uint32_t NONE = 0xffffffff;
// In place of a thread: several lanes of one warp, several warps.
constexpr std::uint16_t LANES_OF_WARP = 0xfffe;
constexpr std::uint16_t WARPS = 0xffff;

// Who touched a byte last.
struct Touch {
    std::uint32_t block = NONE;
    std::uint32_t epoch = 0;
    std::uint32_t warp_epoch = 0;
    std::uint16_t thread = 0;
    std::uint16_t warp = 0;
    bool atomic = false;
    bool several_blocks = false;
};

struct Byte {
    Touch write;
    Touch read;
};

struct Watched {
    Buffer *buffer;
    std::vector<Byte> bytes;
};

struct Watch {
    std::vector<Watched> buffers;
    std::size_t last = 0;
    unsigned char *shared = nullptr;
    std::vector<Byte> shared_bytes;
    std::uint32_t block = 0;
    std::uint32_t epoch = 0;
};

thread_local Watch watch;

enum class Kind { read, write, atomic };

const char *verb(Kind kind) {
    return kind == Kind::read ? "reads" : kind == Kind::write ? "writes" : "changes";
}

// Whether what `touch` says happened before what `thread` does now.
bool ordered(const Touch &touch, const Thread &thread) {
    if (touch.block == NONE) {
        return true;
    }
    if (touch.block != watch.block || touch.several_blocks) {
        return false;
    }
    if (touch.epoch != watch.epoch || touch.thread == thread.linear) {
        return true;
    }
    const bool same_warp = touch.thread != WARPS && touch.warp == thread.linear / LANES;
    return same_warp && touch.warp_epoch != thread.warp->epoch;
}

Touch touch_of(const Thread &thread, Kind kind) {
    Touch touch;
    touch.block = watch.block;
    touch.epoch = watch.epoch;
    touch.warp_epoch = thread.warp->epoch;
    touch.thread = static_cast<std::uint16_t>(thread.linear);
    touch.warp = static_cast<std::uint16_t>(thread.linear / LANES);
    touch.atomic = kind == Kind::atomic;
    return touch;
}

void join_reader(Touch &reader, const Thread &thread) {
    if (reader.block != NONE && reader.block != watch.block) {
        reader.several_blocks = true;
        return;
    }
    const Touch mine = touch_of(thread, Kind::read);
    if (reader.block == NONE || reader.epoch != watch.epoch || reader.thread == thread.linear) {
        const bool several = reader.several_blocks;
        reader = mine;
        reader.several_blocks = several;
    } else if (reader.thread != WARPS && reader.warp == mine.warp) {
        reader.thread = LANES_OF_WARP;
        reader.warp_epoch = mine.warp_epoch;
    } else {
        reader.thread = WARPS;
    }
}

[[noreturn]] void race(const Thread &thread, Kind kind, std::size_t bytes, const char *name, std::size_t offset,
                       const Touch &other, const char *what_other_did) {
    (void)thread;
    if (other.block != watch.block || other.several_blocks) {
        fail("race: %s %zu bytes of %s at %zu, which block %" PRIu32 " %s in the same launch", verb(kind), bytes, name,
             offset, other.block, what_other_did);
    }
    if (other.thread >= LANES_OF_WARP) {
        fail("race: %s %zu bytes of %s at %zu, which other threads %s with no barrier between", verb(kind), bytes, name,
             offset, what_other_did);
    }
    fail("race: %s %zu bytes of %s at %zu, which thread %u %s with no barrier between", verb(kind), bytes, name, offset,
         other.thread, what_other_did);
}

void look(Byte *at, std::size_t bytes, Kind kind, const Thread &thread, const char *name, std::size_t offset) {
    for (std::size_t byte = 0; byte < bytes; ++byte) {
        Byte &one = at[byte];
        const bool both_atomic = kind == Kind::atomic && one.write.atomic;
        if (!both_atomic && !ordered(one.write, thread)) {
            race(thread, kind, bytes, name, offset, one.write, "wrote");
        }
        if (kind == Kind::read) {
            join_reader(one.read, thread);
            continue;
        }
        if (!ordered(one.read, thread)) {
            race(thread, kind, bytes, name, offset, one.read, "read");
        }
        one.write = touch_of(thread, kind);
    }
}

void access(const void *pointer, std::size_t bytes, Kind kind, bool aligned) {
    Thread *thread = current;
    if (thread == nullptr) {
        return;
    }
    auto *at = static_cast<unsigned char *>(const_cast<void *>(pointer));
    if (at >= thread->stack->low() && at < thread->stack->high()) {
        return;
    }
    if (aligned && reinterpret_cast<std::uintptr_t>(at) % bytes != 0) {
        fail("%s %zu bytes at an address that is no multiple of that", verb(kind), bytes);
    }
    if (at >= watch.shared && at < watch.shared + watch.shared_bytes.size()) {
        const auto offset = static_cast<std::size_t>(at - watch.shared);
        if (offset + bytes > watch.shared_bytes.size()) {
            fail("%s %zu bytes of shared memory at %zu, past its %zu", verb(kind), bytes, offset,
                 watch.shared_bytes.size());
        }
        Byte *of = &watch.shared_bytes[offset];
        for (std::size_t byte = 0; kind != Kind::write && byte < bytes; ++byte) {
            if (of[byte].write.block == NONE) {
                fail("%s %zu bytes of shared memory at %zu that nobody has written", verb(kind), bytes, offset);
            }
        }
        look(of, bytes, kind, *thread, "shared memory", offset);
        return;
    }
    for (std::size_t step = 0; step < watch.buffers.size(); ++step) {
        const std::size_t index = (watch.last + step) % watch.buffers.size();
        Watched &watched = watch.buffers[index];
        Buffer &buffer = *watched.buffer;
        if (at < buffer.start || at >= buffer.start + buffer.bytes) {
            continue;
        }
        watch.last = index;
        const auto offset = static_cast<std::size_t>(at - buffer.start);
        if (offset + bytes > buffer.bytes) {
            fail("%s %zu bytes of %s at %zu, past its %zu", verb(kind), bytes, buffer.name, offset, buffer.bytes);
        }
        (kind == Kind::read ? buffer.read : buffer.written) += bytes;
        if (buffer.writable) {
            look(&watched.bytes[offset], bytes, kind, *thread, buffer.name, offset);
        } else if (kind != Kind::read) {
            fail("%s %zu bytes of %s, which is only to be read", verb(kind), bytes, buffer.name);
        }
        return;
    }
    fail("%s %zu bytes at %p, which is in no buffer of the launch", verb(kind), bytes, static_cast<void *>(at));
}

} // namespace

void watch_launch(Launch &launch) {
    watch.buffers.clear();
    watch.last = 0;
    watch.block = 0;
    for (Buffer &buffer : launch.buffers) {
        watch.buffers.push_back({&buffer, std::vector<Byte>(buffer.writable ? buffer.bytes : 0)});
    }
}

void watch_block(unsigned char *shared, std::size_t bytes) {
    watch.shared = shared;
    watch.shared_bytes.assign(bytes, Byte());
    ++watch.block;
    watch.epoch = 0;
}

void watch_barrier() {
    ++watch.epoch;
}

void watch_read(const void *at, std::size_t bytes) {
    access(at, bytes, Kind::read, true);
}

void watch_write(const void *at, std::size_t bytes) {
    access(at, bytes, Kind::write, true);
}

void watch_atomic(const void *at, std::size_t bytes) {
    access(at, bytes, Kind::atomic, true);
}

} // namespace shim

// What the compiler calls, before each access.
extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}

#define SHIM_ACCESS(bytes)                                                                                             \
    void __tsan_read##bytes(void *at) { shim::access(at, bytes, shim::Kind::read, true); }                             \
    void __tsan_write##bytes(void *at) { shim::access(at, bytes, shim::Kind::write, true); }                           \
    void __tsan_unaligned_read##bytes(void *at) { shim::access(at, bytes, shim::Kind::read, false); }                  \
    void __tsan_unaligned_write##bytes(void *at) { shim::access(at, bytes, shim::Kind::write, false); }

SHIM_ACCESS(1)
SHIM_ACCESS(2)
SHIM_ACCESS(4)
SHIM_ACCESS(8)
SHIM_ACCESS(16)

void __tsan_read_range(void *at, unsigned long bytes) {
    shim::access(at, bytes, shim::Kind::read, false);
}

void __tsan_write_range(void *at, unsigned long bytes) {
    shim::access(at, bytes, shim::Kind::write, false);
}

} // extern "C"
