// One process image's shared memory: the rings its shim writes, as the recorder sees them (wire.h).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "record/perf_ring.h"
#include "trace/wire.h"

namespace faultline::record {

class Segment {
 public:
  static constexpr std::uint32_t kRings = 512;
  static constexpr std::uint64_t kRingBytes = 1u << 20;

  static Result<std::unique_ptr<Segment>> create(pid_t pid, bool wrapped_calls);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  wire::Welcome welcome() const;
  int descriptor() const { return memory_.get(); }

  // Appends what each ring holds to its pending bytes; frees rings of ended threads. Returns the bytes taken.
  std::uint64_t drain();
  // Hands out pending bytes of rings with at least this much, or with anything pending since before this time.
  using Take = std::function<void(std::uint32_t ring, std::int32_t tid, std::uint64_t sequence, std::vector<std::uint8_t>&& bytes)>;
  void flush(std::uint64_t now_ns, std::uint64_t max_age_ns, std::size_t bytes, const Take& take);

  void beat();                // the recorder lives
  void detach();              // the program goes on unrecorded
  void free_dead_threads();   // rings whose thread ended without a word
  std::uint64_t dropped_events() const;
  std::uint64_t lost_turns() const;
  std::uint64_t resident_bytes() const;  // of the shared memory

 private:
  Segment() = default;
  wire::SegmentHeader& header() const { return *static_cast<wire::SegmentHeader*>(mapping_); }
  wire::RingHeader& ring(std::uint32_t number) const;
  const std::uint8_t* payload(std::uint32_t number) const;

  struct Pending {
    std::vector<std::uint8_t> bytes;
    std::uint64_t since_ns = 0;  // 0: nothing pending
    std::uint64_t sequence = 0;
    std::int32_t tid = 0;
  };

  pid_t pid_ = 0;
  Fd memory_;
  void* mapping_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::uint32_t used_ = 0;  // rings ever owned are below this
  std::vector<Pending> pending_;
};

}  // namespace faultline::record
