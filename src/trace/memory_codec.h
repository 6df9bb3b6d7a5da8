// Payloads of the calls, faults and samples blocks: arrays of LEB128 varints, each entry relative to the one before it in its
// block. A block holds one process; blocks of different processors overlap in time, so readers sort.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trace/event.h"

namespace faultline::trace {

// Collects entries until the caller takes the bytes.
class FaultEncoder {
 public:
  void add(const FaultEvent& fault);
  std::vector<std::uint8_t>& bytes() { return bytes_; }
  std::uint32_t count() const { return count_; }
  void clear();

 private:
  std::vector<std::uint8_t> bytes_;
  FaultEvent last_;
  std::uint32_t count_ = 0;
};

class CallEncoder {
 public:
  void add(const MemoryCall& call);
  std::vector<std::uint8_t>& bytes() { return bytes_; }
  std::uint32_t count() const { return count_; }
  void clear();

 private:
  std::vector<std::uint8_t> bytes_;
  std::uint64_t last_ns_ = 0;
  Tid last_tid_ = 0;
  std::uint32_t count_ = 0;
};

class SampleEncoder {
 public:
  void add(const RssSample& sample);
  std::vector<std::uint8_t>& bytes() { return bytes_; }
  std::uint32_t count() const { return count_; }
  void clear();

 private:
  std::vector<std::uint8_t> bytes_;
  RssSample last_;
  std::uint32_t count_ = 0;
};

// Append to out. False if the bytes are no such array; out then holds what came before.
// with_access: the block has FaultBlockFlag::kHasAccess; FaultEncoder writes such blocks.
bool decode_faults(std::span<const std::uint8_t> bytes, bool with_access, std::vector<FaultEvent>& out);
bool decode_calls(std::span<const std::uint8_t> bytes, std::vector<MemoryCall>& out);
bool decode_samples(std::span<const std::uint8_t> bytes, std::vector<RssSample>& out);

}  // namespace faultline::trace
