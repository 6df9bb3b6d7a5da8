// What a free() will look at, asked for before it is its turn. In a large heap the headers lie in far memory, and each step of a
// free depends on the one before it: done for chunks that will be freed one after another, the waits overlap.
//
// Only hints: where the provider has no prefetch() and peek() nothing happens, and what peek() says may be out of date.
#pragma once

#include "heap/chunk.h"

namespace faultline::heap {

template <typename P>
inline constexpr bool looks_ahead = requires(P& memory, Address a) {
  memory.prefetch(a);
  { memory.peek(a) } -> std::same_as<std::uint64_t>;
};

// A word that will be asked for soon. It is no access: nothing faults.
template <typename P>
void prefetch(P& memory, Address address) {
  if constexpr (looks_ahead<P>) memory.prefetch(address);
}

// Each a while after the one before.
template <typename P>
void expect_header(P& memory, Address chunk) {
  prefetch(memory, chunk + 8);
}
template <typename P>
void expect_neighbours(P& memory, Address chunk) {
  if constexpr (looks_ahead<P>) {
    const std::uint64_t head = memory.peek(chunk + 8);
    memory.prefetch(chunk + (head & ~kFlagBits) + 8);
    if ((head & kPrevInUse) == 0) memory.prefetch(chunk - memory.peek(chunk) + 16);
  }
}

// The free chunks it will merge with leave their lists: the chunks before and after them there.
template <typename P>
[[gnu::noinline]] void expect_links(P& memory, Address chunk) {
  if constexpr (looks_ahead<P>) {
    const auto leaves = [&](Address merged) {
      memory.prefetch(memory.peek(merged + 16) + 24);
      memory.prefetch(memory.peek(merged + 24) + 16);
    };
    const std::uint64_t head = memory.peek(chunk + 8);
    if ((head & kPrevInUse) == 0) leaves(chunk - memory.peek(chunk));
    const Address next = chunk + (head & ~kFlagBits), after = next + (memory.peek(next + 8) & ~kFlagBits);
    if ((memory.peek(after + 8) & kPrevInUse) == 0) leaves(next);
  }
}

}  // namespace faultline::heap
