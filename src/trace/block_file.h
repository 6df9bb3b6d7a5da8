// The blocks of a recording: headers indexed at opening, payloads loaded and checked on demand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/file_format.h"

struct ZSTD_DCtx_s;

namespace faultline::trace {

struct BlockEntry {
  BlockHeader header;
  std::uint64_t offset;  // of the header in the file
};

class BlockFile {
 public:
  static Result<BlockFile> open(const std::string& path, const FileType& type = kRecordingType);
  BlockFile(BlockFile&& other) noexcept;
  BlockFile& operator=(BlockFile&&) = delete;
  ~BlockFile();

  const std::vector<BlockEntry>& blocks() const { return blocks_; }
  bool ended() const { return ended_; }                              // an end block closes the file
  const std::optional<std::string>& damage() const { return damage_; }  // found while indexing
  std::uint64_t bytes() const { return bytes_; }
  std::uint32_t version() const { return version_; }
  const std::string& path() const { return path_; }

  // The payload of one block, checksum verified.
  Result<void> load(const BlockEntry& block, std::vector<std::uint8_t>& payload);

 private:
  BlockFile() = default;
  void index();

  int fd_ = -1;
  const FileType* type_ = &kRecordingType;
  std::string path_;
  ZSTD_DCtx_s* zstd_ = nullptr;
  std::vector<BlockEntry> blocks_;
  std::vector<std::uint8_t> stored_;
  std::optional<std::string> damage_;
  std::uint64_t bytes_ = 0;
  std::uint32_t version_ = 0;
  bool ended_ = false;
};

}  // namespace faultline::trace
