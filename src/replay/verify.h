// Verify: the twin replays the recorded run under the recorded settings, and every number is put beside the kernel's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "replay/prediction.h"
#include "replay/program.h"

namespace faultline::replay {

inline constexpr double kTolerance = 0.03;  // faults and resident memory; addresses and calls must be equal

struct Pair {
  std::uint64_t predicted = 0, observed = 0;
  // |predicted - observed| / observed. 0 if both are 0, 1 if only the observation is.
  double error() const;
};

struct Divergence {
  std::size_t event = 0;
  std::uint64_t time_ns = 0;
  trace::Tid tid = 0;
  trace::StackId stack = 0;
  std::string operation;  // "malloc(160)"
  std::string expected, got;
};

struct Verification {
  std::uint64_t events = 0;
  std::uint64_t addresses_matched = 0, addresses_total = 0;
  bool calls_compared = false;         // false: the recording does not hold libc's own calls
  std::uint64_t calls_matched = 0, calls_total = 0;
  bool faults_compared = false;
  Pair heap_minor, mmapped_minor, thread_heap_minor, rest_minor, minor, major;
  bool rss_compared = false;
  Pair rss_peak, rss_end;
  std::uint64_t rss_peak_resolution_bytes = 0;  // by which the kernel's own peak may be off
  std::optional<Divergence> first_address, first_call;
  Prediction prediction;

  // The predicted part of the minor faults: heap and mmapped chunks together.
  Pair malloc_minor() const {
    return {heap_minor.predicted + mmapped_minor.predicted + thread_heap_minor.predicted,
            heap_minor.observed + mmapped_minor.observed + thread_heap_minor.observed};
  }
  bool addresses_equal() const { return addresses_matched == addresses_total; }
  bool calls_equal() const { return !calls_compared || calls_matched == calls_total; }
  bool faults_within() const;
  bool rss_within() const;
  bool holds() const { return addresses_equal() && calls_equal() && faults_within() && rss_within(); }

  // Relative errors that travel with every what-if. Unknown where nothing could be compared.
  std::optional<double> fault_error() const;
  std::optional<double> rss_error() const;
};

Verification verify(const Program& program);
// Its two replays side by side, given up when `late` says so.
std::optional<Verification> verify_until(const Program& program, const std::function<bool()>& late);

}  // namespace faultline::replay
