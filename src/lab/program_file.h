// ProgramFile: a real file, read so that a lab process can exec it: an ELF program or a script, with its interpreters.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"

namespace faultline::lab {

// A file's bytes, mapped for reading. Regular files only: a device or a pipe would never end.
class FileBytes {
 public:
  static Result<FileBytes> open(const std::string& path);  // the error names the path
  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&&) = delete;
  ~FileBytes();

  std::span<const std::uint8_t> bytes() const { return {static_cast<const std::uint8_t*>(bytes_), size_}; }
  std::uint64_t inode() const { return inode_; }
  bool aligns_huge() const { return aligns_huge_; }  // its file system is ext4, xfs or btrfs

 private:
  FileBytes() = default;
  void* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::uint64_t inode_ = 0;
  bool aligns_huge_ = false;
};

}  // namespace faultline::lab
