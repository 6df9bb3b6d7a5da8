// Writes a reference stream: blocks of about a million events, each readable alone. What was written before a kill, or before the
// disk filled up, stays readable.
#pragma once

#include <string>

#include "trace/block_writer.h"
#include "trace/references/reference_codec.h"

namespace faultline::trace {

class ReferenceWriter {
 public:
  // Replaces an older file of ours at path; refuses any other.
  static Result<ReferenceWriter> create(const std::string& path, const ReferenceOrigin& origin);

  // Events of a source, and the names it has by now. False once the file cannot grow (failure() says why).
  bool add(std::span<const ReferenceEvent> events, const ReferenceSource& source);
  // Writes what is buffered as a block: for a recorder that may be killed.
  bool flush();
  // The last block, remarks, and the mark that nothing is missing.
  bool finish(const ReferenceSource& source);

  const std::string& failure() const { return blocks_.failure(); }
  std::uint64_t file_bytes() const { return blocks_.file_bytes(); }
  std::uint64_t events() const { return events_; }
  std::uint64_t touches() const { return touches_; }

 private:
  explicit ReferenceWriter(BlockWriter blocks) : blocks_(std::move(blocks)) {}
  void note_names(const ReferenceSource& source);

  BlockWriter blocks_;
  ReferenceEncoder encoder_;
  ReferenceNames written_, names_;
  std::uint64_t dropped_before_ = 0, dropped_ = 0, events_ = 0, touches_ = 0;
};

// Everything a source still has. The error is the source's, or that the file cannot grow.
Result<void> write_all(ReferenceSource& source, ReferenceWriter& writer);

}  // namespace faultline::trace
