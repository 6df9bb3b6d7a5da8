// TestFile: a real file made for a test, with what of it is in the page cache, and how its device is read ahead. It is gone
// with the object. The state is read from the kernel, so that the twin can start from the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mm/backing/file_object.h"
#include "mm/backing/read_ahead.h"

namespace faultline::spec {

enum class FileKind : std::uint32_t { disk, tmpfs };

class TestFile {
 public:
  // bytes are written chunk by chunk: Linux takes larger folios for larger writes. Throws where such a file cannot be.
  TestFile(FileKind kind, std::uint64_t bytes, std::uint64_t chunk);
  ~TestFile();
  TestFile(const TestFile&) = delete;
  TestFile& operator=(const TestFile&) = delete;

  // Why there can be no such file, or nothing. Folios larger than a page can be seen by root only (/proc/kpageflags).
  static std::string missing(FileKind kind, bool large_folios);

  const std::string& path() const { return path_; }
  FileKind kind() const { return kind_; }
  void drop();    // written and out of the page cache
  void settle();  // until the device has nothing to do
  std::vector<mm::Folio> cached() const;  // now
  mm::FileSettings settings() const;
  mm::ReadAheadLimits read_ahead() const;

 private:
  FileKind kind_;
  std::uint64_t chunk_;
  std::string path_;
  int fd_ = -1;
};

}  // namespace faultline::spec
