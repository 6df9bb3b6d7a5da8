#include "record/time_base.h"

#include <x86intrin.h>

#include <ctime>

namespace faultline::record {

std::uint64_t raw_now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_nsec);
}

TimeBase::TimeBase() : zero_(raw_now_ns()) {}

std::uint64_t TimeBase::ns(std::uint64_t raw) const { return raw > zero_ ? raw - zero_ : 0; }
std::uint64_t TimeBase::now_ns() const { return ns(raw_now_ns()); }

trace::TickPair TimeBase::pair() const {
  trace::TickPair best{};
  std::uint64_t width = ~std::uint64_t{0};
  for (int i = 0; i < 16; ++i) {
    const std::uint64_t before = __rdtsc();
    const std::uint64_t now = now_ns();
    const std::uint64_t after = __rdtsc();
    if (after - before >= width) continue;
    width = after - before;
    best = {before + width / 2, now};
  }
  return best;
}

}  // namespace faultline::record
