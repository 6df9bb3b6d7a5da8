#include "heap/on/host_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace faultline::heap {

namespace {
// The headers of a large heap lie all over it, so that with small pages most of them miss the host's TLB, too. Huge pages are worth
// their making where memory is used again and again. madvise(2): MADV_COLLAPSE, since Linux 6.1; what the host refuses stays as it is.
constexpr std::uint64_t kHugeFrom = std::uint64_t{16} << 20;
constexpr int kMadviseCollapse = 25;  // glibc 2.36 has no name for it
}  // namespace

HostPages::HostPages(std::uint64_t base, std::uint64_t bytes) : base_(base), code_(base) {
  FL_ASSERT(page_floor(base) == base && page_floor(bytes) == bytes);
  // MAP_NORESERVE: only pages that are stored to cost anything. Strict overcommit or RLIMIT_AS may refuse; then take less.
  for (size_ = bytes; size_ >= kPageSize; size_ = page_floor(size_ / 2)) {
    void* place = ::mmap(nullptr, host_bytes(size_), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place != MAP_FAILED) {
      words_ = static_cast<WordCode::Code*>(place);
      break;
    }
  }
  FL_ASSERT(words_ != nullptr);
}

HostPages::HostPages(const HostPages& other) : HostPages(other.base_, other.size_) {
  code_ = other.code_;
  for (std::uint64_t page = 0; page < other.pages_.size(); ++page) {
    if ((other.pages_[page] & kData) == 0) continue;
    const std::uint64_t address = base_ + (page << kPageShift);
    FL_ASSERT(covers(address));
    state_of(address) |= kData;
    std::memcpy(at(address), other.at(address), host_bytes(kPageSize));
  }
}

HostPages::HostPages(HostPages&& used, std::uint64_t base)
    : base_(base), size_(std::exchange(used.size_, 0)), words_(std::exchange(used.words_, nullptr)), code_(base), pages_(std::move(used.pages_)),
      all_known_(used.all_known_) {
  FL_ASSERT(page_floor(base) == base && words_ != nullptr);
  forget_accesses();
  const std::uint64_t bytes = host_bytes(std::min<std::uint64_t>(pages_.size() << kPageShift, size_));
  if (bytes >= kHugeFrom) ::madvise(words_, bytes, kMadviseCollapse);
}

HostPages::~HostPages() {
  if (words_ != nullptr) ::munmap(words_, host_bytes(size_));
}

void HostPages::forget_accesses(std::uint64_t start, std::uint64_t end) {
  const std::uint64_t first = start > base_ ? (start - base_) >> kPageShift : 0;
  const std::uint64_t last = end > base_ ? std::min<std::uint64_t>((page_ceil(end) - base_) >> kPageShift, pages_.size()) : 0;
  for (std::uint64_t page = first; page < last; ++page) pages_[page] &= kData;
}

void HostPages::forget_accesses() {
  all_known_ += kGeneration;
  if (all_known_ >= kGeneration) return;
  forget_accesses(base_, base_ + size_);  // the generations begin anew
  all_known_ = kGeneration | kBits;
}

void HostPages::drop(std::uint64_t address) {
  if (!holds_data(address)) return;
  std::memset(at(page_floor(address)), 0, host_bytes(kPageSize));
  state_of(address) &= static_cast<std::uint16_t>(~kData);
}

void HostPages::clear(std::uint64_t address, std::uint64_t length) {
  const std::uint64_t end = address + length;
  while (address < end) {
    const std::uint64_t stop = std::min(end, page_floor(address) + kPageSize);
    if (holds_data(address)) {
      std::memset(at(address), 0, reinterpret_cast<char*>(at(stop + 7)) - reinterpret_cast<char*>(at(address)));
    }
    address = stop;
  }
}

void HostPages::copy(std::uint64_t to, std::uint64_t from, std::uint64_t length) {
  if (length == 0) return;
  bool any = false;
  for (std::uint64_t page = page_floor(from); page < from + length && !any; page += kPageSize) any = holds_data(page);
  if (!any) return clear(to, length);
  for (std::uint64_t page = page_floor(to); page < to + length; page += kPageSize) state_of(page) |= kData;
  std::memmove(at(to), at(from), host_bytes(length));
  code_.copied(to, from, length, [this](std::uint64_t address) { return *at(address); });
}

}  // namespace faultline::heap
