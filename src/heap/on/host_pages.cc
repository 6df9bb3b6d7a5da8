#include "heap/on/host_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace faultline::heap {

HostPages::HostPages(std::uint64_t base, std::uint64_t bytes) : base_(base) {
  FL_ASSERT(page_floor(base) == base && page_floor(bytes) == bytes);
  // MAP_NORESERVE: only pages that are stored to cost anything. Strict overcommit or RLIMIT_AS may refuse; then take less.
  for (size_ = bytes; size_ >= kPageSize; size_ = page_floor(size_ / 2)) {
    void* place = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place != MAP_FAILED) {
      words_ = static_cast<std::uint64_t*>(place);
      break;
    }
  }
  FL_ASSERT(words_ != nullptr);
}

HostPages::HostPages(const HostPages& other) : HostPages(other.base_, other.size_) {
  for (std::uint64_t page = 0; page < other.data_.size(); ++page) {
    if (other.data_[page] == 0) continue;
    const std::uint64_t address = base_ + (page << kPageShift);
    FL_ASSERT(covers(address));
    mark(address);
    std::memcpy(at(address), other.at(address), kPageSize);
  }
}

HostPages::~HostPages() { ::munmap(words_, size_); }

void HostPages::drop(std::uint64_t address) {
  if (!holds_data(address)) return;
  std::memset(at(page_floor(address)), 0, kPageSize);
  data_[(address - base_) >> kPageShift] = 0;
}

void HostPages::clear(std::uint64_t address, std::uint64_t length) {
  const std::uint64_t end = address + length;
  while (address < end) {
    const std::uint64_t stop = std::min(end, page_floor(address) + kPageSize);
    if (holds_data(address)) {
      std::memset(reinterpret_cast<char*>(words_) + (address - base_), 0, stop - address);
    }
    address = stop;
  }
}

void HostPages::copy(std::uint64_t to, std::uint64_t from, std::uint64_t length) {
  if (length == 0) return;
  bool any = false;
  for (std::uint64_t page = page_floor(from); page < from + length && !any; page += kPageSize) any = holds_data(page);
  if (!any) return clear(to, length);
  for (std::uint64_t page = page_floor(to); page < to + length; page += kPageSize) mark(page);
  char* bytes = reinterpret_cast<char*>(words_);
  std::memmove(bytes + (to - base_), bytes + (from - base_), length);
}

}  // namespace faultline::heap
