// Every access to memory that a kernel makes, looked at: is it inside of a buffer, aligned, of something that was written,
// and ordered against what other threads do with the same bytes?
//
// The compiler calls these (-fsanitize=thread), though its own run-time library is not linked: we know what a barrier of the
// device is, and what its memory.
#pragma once

#include <cstddef>

#include "block.hpp"

namespace shim {

void watch_launch(Launch &launch);
void watch_block(unsigned char *shared, std::size_t bytes);
// All threads of the block have met.
void watch_barrier();

void watch_read(const void *at, std::size_t bytes);
void watch_write(const void *at, std::size_t bytes);
void watch_atomic(const void *at, std::size_t bytes);

} // namespace shim
