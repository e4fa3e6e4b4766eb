#include "fibers.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace shim {

namespace {

constexpr std::size_t STACK_BYTES = 128 << 10;

std::size_t guard_bytes() {
    return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

} // namespace

Stack::Stack() {
    const std::size_t guard = guard_bytes();
    void *mapped = mmap(nullptr, guard + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED || mprotect(mapped, guard, PROT_NONE) != 0) {
        std::perror("shim: a stack");
        std::abort();
    }
    low_ = static_cast<unsigned char *>(mapped) + guard;
}

Stack::~Stack() {
    munmap(low_ - guard_bytes(), guard_bytes() + STACK_BYTES);
}

unsigned char *Stack::high() const {
    return low_ + STACK_BYTES;
}

#if defined(__x86_64__)

// The C library's switch asks the kernel for the signal mask each time, which is most of what a warp's operation would cost.
extern "C" void shim_switch(void **from, void *to);
asm(R"(
.text
.globl shim_switch
.type shim_switch, @function
shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size shim_switch, . - shim_switch
)");

void begin(Fiber &fiber, const Stack &stack, void (*entry)()) {
    auto *top = reinterpret_cast<std::uint64_t *>(stack.high());
    // As after a call: the address to return to, below it six registers. The stack is then aligned as a function expects it.
    *--top = 0;
    *--top = reinterpret_cast<std::uint64_t>(entry);
    for (int saved = 0; saved < 6; ++saved) {
        *--top = 0;
    }
    fiber.at = top;
}

void switch_to(Fiber &from, Fiber &to) {
    shim_switch(&from.at, to.at);
}

#else

void begin(Fiber &fiber, const Stack &stack, void (*entry)()) {
    auto *context = static_cast<ucontext_t *>(fiber.at);
    if (context == nullptr) {
        context = new ucontext_t;
        fiber.at = context;
    }
    getcontext(context);
    context->uc_stack.ss_sp = stack.low();
    context->uc_stack.ss_size = STACK_BYTES;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
}

void switch_to(Fiber &from, Fiber &to) {
    if (from.at == nullptr) {
        from.at = new ucontext_t;
    }
    swapcontext(static_cast<ucontext_t *>(from.at), static_cast<ucontext_t *>(to.at));
}

#endif

} // namespace shim
