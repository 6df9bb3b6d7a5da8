// Files as traced processes know them: names, sizes, descriptors and positions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "trace/references/reference.h"

namespace faultline::trace {

// All files of a stream, by number.
class FileNames {
 public:
  // kNoFile for what has no page cache of its own: devices, pipes, directories, /proc. The size is the file's on this machine, now.
  std::uint32_t number(const std::string& path);
  void reaches(std::uint32_t file, std::uint64_t pages);  // seen to be at least so long
  const std::vector<ReferenceFile>& all() const { return files_; }

 private:
  std::vector<ReferenceFile> files_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

struct OpenFile {
  std::uint32_t file = kNoFile;
  std::uint64_t position = 0;  // bytes
};

// Descriptors of one process. Copies share what they opened, as after fork(2).
class Descriptors {
 public:
  void open(int descriptor, std::uint32_t file, std::uint64_t position = 0) {
    table_[descriptor] = std::make_shared<OpenFile>(OpenFile{file, position});
  }
  void close(int descriptor) { table_.erase(descriptor); }
  void close_range(unsigned first, unsigned last) {
    std::erase_if(table_, [&](const auto& entry) { return static_cast<unsigned>(entry.first) >= first && static_cast<unsigned>(entry.first) <= last; });
  }
  void duplicate(int from, int to) {
    if (const auto found = table_.find(from); found == table_.end()) table_.erase(to);
    else table_[to] = found->second;
  }
  OpenFile* find(int descriptor) {
    const auto found = table_.find(descriptor);
    return found == table_.end() ? nullptr : found->second.get();
  }
  void clear() { table_.clear(); }

 private:
  std::map<int, std::shared_ptr<OpenFile>> table_;
};

}  // namespace faultline::trace
