// Appends blocks to a recording. Every append leaves a file that opens; a disk that fills up ends the writing, not the program.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/file_format.h"

struct ZSTD_CCtx_s;

namespace faultline::trace {

class BlockWriter {
 public:
  // Creates or replaces path. A file there that is not empty and not one of ours is refused, not overwritten.
  static Result<BlockWriter> create(const std::string& path, const FileType& type = kRecordingType);
  BlockWriter(BlockWriter&& other) noexcept;
  BlockWriter& operator=(BlockWriter&&) = delete;
  ~BlockWriter();

  // header: kind, flags, pid, tid, image, ring, sequence, times, events as the caller wants them; the rest is filled in.
  // False once the file cannot grow any more (see failure()); the half-written block is cut off again.
  bool append(BlockHeader header, std::span<const std::uint8_t> payload);
  bool append_text(BlockKind kind, std::uint32_t image, std::int32_t pid, const std::string& text);

  const std::string& failure() const { return failure_; }  // one line; empty while all is well
  std::uint64_t file_bytes() const { return size_; }
  std::uint64_t raw_bytes() const { return raw_; }

 private:
  BlockWriter(int fd, std::string path);
  bool write_all(std::span<const std::uint8_t> bytes);

  int fd_;
  const FileType* type_ = &kRecordingType;
  std::string path_;
  ZSTD_CCtx_s* zstd_;
  std::vector<std::uint8_t> buffer_;
  std::uint64_t size_ = 0, raw_ = 0;
  std::string failure_;
};

}  // namespace faultline::trace
