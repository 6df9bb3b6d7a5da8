#include "heap/on/flat_memory.h"

#include <sys/mman.h>

#include "base/assert.h"

namespace faultline::heap {
namespace {

constexpr std::uint64_t kTooLarge = std::uint64_t{1} << 40;  // an overcommitting kernel refuses it too

Address address_of(void* mapping) { return mapping == MAP_FAILED ? kFailed : reinterpret_cast<Address>(mapping); }

}  // namespace

FlatMemory::FlatMemory(FlatMemoryOptions options) : options_(std::move(options)) {
  void* const reserve = mmap(nullptr, options_.reserve_bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FL_ASSERT(reserve != MAP_FAILED);
  reserve_ = address_of(reserve);
  if (options_.brk_limit_bytes == 0) options_.brk_limit_bytes = options_.reserve_bytes;
  start_break_ = break_ = reserve_ + options_.start_offset;
}

FlatMemory::~FlatMemory() { munmap(at(reserve_), options_.reserve_bytes); }

// The break moves byte by byte; the pages above its own are gone, and are zero when it comes back.
Address FlatMemory::sbrk(std::int64_t delta) {
  const Address old = break_;
  const Address moved = old + static_cast<std::uint64_t>(delta);
  if (delta == 0) return old;
  if (moved < start_break_ || moved - reserve_ > options_.brk_limit_bytes) return kFailed;
  if (delta < 0 && page_ceil(moved) < page_ceil(old)) {
    madvise(at(page_ceil(moved)), page_ceil(old) - page_ceil(moved), MADV_DONTNEED);
  }
  break_ = moved;
  return old;
}

Address FlatMemory::map(const MapRequest& request) {
  if (request.length > kTooLarge || request.huge_page != 0) return kFailed;
  if (options_.refuse_map && options_.refuse_map(request.length)) return kFailed;
  const int access = request.protection == Protection::none ? PROT_NONE : PROT_READ | PROT_WRITE;
  const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (request.fixed ? MAP_FIXED : 0);
  return address_of(mmap(at(request.hint), request.length, access, flags, -1, 0));
}

bool FlatMemory::unmap(Address start, std::uint64_t length) { return munmap(at(start), length) == 0; }

Address FlatMemory::remap(Address start, std::uint64_t old_length, std::uint64_t new_length) {
  if (new_length > kTooLarge || (options_.refuse_map && options_.refuse_map(new_length))) return kFailed;
  return address_of(mremap(at(start), old_length, new_length, MREMAP_MAYMOVE));
}

bool FlatMemory::protect(Address start, std::uint64_t length, Protection protection) {
  return mprotect(at(start), length, protection == Protection::none ? PROT_NONE : PROT_READ | PROT_WRITE) == 0;
}

bool FlatMemory::advise(Address start, std::uint64_t length, Advice advice) {
  return madvise(at(start), length, advice == Advice::dont_need ? MADV_DONTNEED : MADV_HUGEPAGE) == 0;
}

}  // namespace faultline::heap
