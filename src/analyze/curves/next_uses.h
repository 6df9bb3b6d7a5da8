// NextUses: for each reference of a stream, which reference touches the same page next: what policies that see the future need. Four
// bytes a reference; beyond a bound they live in a temporary file.
#pragma once

#include <cstdint>

#include "analyze/curves/huge_array.h"
#include "analyze/curves/page_stream.h"

namespace faultline::analyze {

class NextUses {
 public:
  static constexpr std::uint32_t kNever = ~std::uint32_t{0};
  static constexpr std::uint64_t kMemoryLimit = std::uint64_t{1} << 30;

  // Reads the stream from where it is to its end, and rewinds it. An error: a stream that can be read only once, or 2^32 - 1
  // references and more.
  static Result<NextUses> of(PageStream& stream, std::uint64_t memory_limit = kMemoryLimit);

  // By time: references of the stream from 0.
  const std::uint32_t* data() const { return next_.data(); }
  std::uint64_t references() const { return references_; }
  bool in_file() const { return next_.in_file(); }

 private:
  HugeArray<std::uint32_t> next_;
  std::uint64_t references_ = 0;
};

}  // namespace faultline::analyze
