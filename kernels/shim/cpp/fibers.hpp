// Threads of a block, taking turns on one thread of the host: each has a stack of its own, and runs until it waits.
#pragma once

#include <cstddef>

namespace shim {

// A stack with a page below it that nobody may touch, so that an overflow ends the process at once.
class Stack {
  public:
    Stack();
    ~Stack();
    Stack(const Stack &) = delete;
    Stack &operator=(const Stack &) = delete;

    unsigned char *low() const { return low_; }
    unsigned char *high() const;

  private:
    unsigned char *low_;
};

// Where a fiber goes on; a plain pointer into its stack, or a context of the C library where we have no switch of our own.
struct Fiber {
    void *at = nullptr;
};

// Has `fiber` begin with `entry` on `stack` when it is first switched to. `entry` never returns.
void begin(Fiber &fiber, const Stack &stack, void (*entry)());

// Leaves `from` and goes on with `to`.
void switch_to(Fiber &from, Fiber &to);

} // namespace shim
