// Bytes of a file, of standard input, or of either compressed by zstd: in order, in constant memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

struct ZSTD_DCtx_s;

namespace faultline::trace {

class ByteInput {
 public:
  // "-" is standard input. What begins with zstd's magic is decompressed.
  static Result<std::unique_ptr<ByteInput>> open(const std::string& path);
  // For tests and fuzzing.
  static std::unique_ptr<ByteInput> of_bytes(std::vector<std::uint8_t> bytes, std::string name);
  ~ByteInput();
  ByteInput(const ByteInput&) = delete;
  ByteInput& operator=(const ByteInput&) = delete;

  const std::string& name() const { return name_; }
  // The first bytes, up to size of them (at most 1 MiB), without consuming them. Before the first read() only.
  Result<std::span<const std::uint8_t>> peek(std::size_t size);
  // At least one byte, or 0 at the end.
  Result<std::size_t> read(std::span<std::uint8_t> out);
  Result<void> rewind();

 private:
  ByteInput() = default;
  Result<std::size_t> read_plain(std::span<std::uint8_t> out);
  Result<std::size_t> read_stored(std::span<std::uint8_t> out);  // before decompression
  Result<void> look_for_zstd();

  std::string name_;
  int fd_ = -1;
  bool seekable_ = false;
  std::vector<std::uint8_t> memory_;  // of_bytes
  std::size_t memory_at_ = 0;
  std::vector<std::uint8_t> stored_;  // read, not yet decompressed or handed out
  std::size_t stored_at_ = 0;
  ZSTD_DCtx_s* zstd_ = nullptr;
  bool inside_frame_ = false;
  std::vector<std::uint8_t> ahead_;  // peeked
  std::size_t ahead_at_ = 0;
};

}  // namespace faultline::trace
