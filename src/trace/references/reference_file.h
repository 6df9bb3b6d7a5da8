// A reference stream on disk, read a block at a time; as often as wanted.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "trace/block_file.h"
#include "trace/references/reference_codec.h"

namespace faultline::trace {

class ReferenceStreamFile : public ReferenceSource {
 public:
  // Whether a file begins as a stream does; false also where it cannot be read.
  static bool is_one(const std::string& path);
  // A truncated file opens up to its last whole block; damage() says so.
  static Result<std::unique_ptr<ReferenceStreamFile>> open(const std::string& path);

  Result<std::size_t> next(std::span<ReferenceEvent> buffer) override;
  Result<void> rewind() override;
  const std::vector<ReferenceFile>& files() const override { return names_.files; }  // of the whole stream
  bool has_mappings() const override { return origin_.mappings; }
  const std::vector<ReferenceProcess>& processes() const override { return names_.processes; }
  std::uint64_t dropped() const override { return dropped_; }
  std::uint32_t window() const override { return origin_.window; }
  std::vector<std::string> remarks() const override { return names_.remarks; }

  const ReferenceOrigin& origin() const { return origin_; }
  std::uint64_t events() const { return events_; }  // of the whole stream, touches and calls
  std::uint64_t file_bytes() const { return blocks_.bytes(); }
  const std::optional<std::string>& damage() const { return blocks_.damage(); }

 private:
  explicit ReferenceStreamFile(BlockFile blocks) : blocks_(std::move(blocks)) {}
  Result<void> read_names();
  Error at_block(const BlockEntry& block, const Error& error) const;

  BlockFile blocks_;
  ReferenceOrigin origin_;
  ReferenceNames names_;
  ReferenceDecoder decoder_;
  std::uint64_t events_ = 0, dropped_ = 0;
  std::size_t next_block_ = 0;
  const BlockEntry* current_ = nullptr;
};

}  // namespace faultline::trace
