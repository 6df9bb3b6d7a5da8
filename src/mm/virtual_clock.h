// VirtualClock: the machine's time. It moves when somebody says so; nothing in the twin reads another clock.
#pragma once

#include <cstdint>

namespace faultline::mm {

class VirtualClock {
 public:
  std::uint64_t now_ns() const { return now_ns_; }
  void advance(std::uint64_t ns) { now_ns_ += ns; }

 private:
  std::uint64_t now_ns_ = 0;
};

}  // namespace faultline::mm
