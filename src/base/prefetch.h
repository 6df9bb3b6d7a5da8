// prefetch: this memory will be read soon. GCC takes a function that does nothing but __builtin_prefetch for one without effect, and
// drops the calls of it; the empty statement is an effect to it.
#pragma once

namespace faultline {

inline void prefetch(const void* where) {
  __builtin_prefetch(where);
  asm volatile("");
}

}  // namespace faultline
