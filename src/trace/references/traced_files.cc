#include "trace/references/traced_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace faultline::trace {

std::uint32_t FileNames::number(const std::string& path) {
  if (path.empty() || path.starts_with("/dev/") || path.starts_with("/proc/") || path.starts_with("/sys/")) return kNoFile;
  if (const auto found = numbers_.find(path); found != numbers_.end()) return found->second;
  // /lib/libc.so.6 and /usr/lib/libc.so.6 are one page cache.
  std::error_code error;
  const std::string real = std::filesystem::canonical(path, error).string();
  if (!error && real != path) return numbers_[path] = number(real);
  struct stat status {};
  const bool there = stat(path.c_str(), &status) == 0;
  std::uint32_t file = kNoFile;
  if (!there || S_ISREG(status.st_mode)) {
    file = static_cast<std::uint32_t>(files_.size());
    files_.push_back({path, there ? (static_cast<std::uint64_t>(status.st_size) + 4095) / 4096 : 0});
  }
  numbers_.emplace(path, file);
  return file;
}

void FileNames::reaches(std::uint32_t file, std::uint64_t pages) {
  if (file < files_.size()) files_[file].pages = std::max(files_[file].pages, pages);
}

}  // namespace faultline::trace
