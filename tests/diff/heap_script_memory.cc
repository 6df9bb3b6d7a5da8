#include "heap_script_memory.h"

#include <sys/mman.h>

#include <cstring>

#include "base/assert.h"

namespace faultline::diff {
namespace {

using heap::Address;
constexpr std::uint64_t kReserve = std::uint64_t{96} << 30;  // of each of the two host ranges

char* reserve() {
  void* const mapping =
      mmap(nullptr, kReserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  FL_ASSERT(mapping != MAP_FAILED);
  return static_cast<char*>(mapping);
}

bool is_error(std::uint64_t result) { return result > ~std::uint64_t{0} - 4095; }

std::string text(std::uint64_t number, Address address, std::uint64_t length, std::uint64_t extra) {
  switch (number) {
    case kCallBrk: return fmt::format("brk({:#x})", address);
    case kCallMmap: return fmt::format("mmap({:#x}, {})", address, length);
    case kCallMunmap: return fmt::format("munmap({:#x}, {})", address, length);
    case kCallMremap: return fmt::format("mremap({:#x}, {}, {})", address, length, extra);
    case kCallMadvise: return fmt::format("madvise({:#x}, {}, {})", address, length, extra);
    default: return fmt::format("call {}({:#x}, {})", number, address, length);
  }
}

}  // namespace

ScriptMemory::ScriptMemory(const DriverRun& run)
    : calls_(run.calls()), start_break_(run.header().start_brk), break_(start_break_),
      map_low_(page_floor(run.header().shared_at) - (kReserve - (std::uint64_t{8} << 30))),
      heap_host_(reserve()), map_host_(reserve()) {}

ScriptMemory::~ScriptMemory() {
  munmap(heap_host_, kReserve);
  munmap(map_host_, kReserve);
}

const Call& ScriptMemory::expect(std::uint64_t number, Address address, std::uint64_t length, std::uint64_t extra) {
  const std::string wanted = text(number, address, length, extra);
  if (next_ == calls_.size()) throw Mismatch{fmt::format("model: {}, libc: no call at all", wanted)};
  const Call& call = calls_[next_];
  if (call.number != number || call.address != address ||
      (number != kCallBrk && call.length != length) || call.extra != extra) {
    throw Mismatch{fmt::format("model: {}, libc: {}", wanted, text(call.number, call.address, call.length, call.extra))};
  }
  ++next_;
  return call;
}

char* ScriptMemory::host(Address address, std::uint64_t length) const {
  if (address - page_floor(start_break_) < kReserve - length) return heap_host_ + (address - page_floor(start_break_));
  if (address - map_low_ < kReserve - length) return map_host_ + (address - map_low_);
  throw Mismatch{fmt::format("model: access to {:#x}, which is no memory of the program", address)};
}

void ScriptMemory::drop(Address start, std::uint64_t length) { madvise(host(start, length), length, MADV_DONTNEED); }

Address ScriptMemory::sbrk(std::int64_t delta) {
  if (delta == 0) return break_;
  const Address old = break_, wanted = old + static_cast<std::uint64_t>(delta);
  const Call& call = expect(kCallBrk, wanted, 0, 0);
  break_ = call.result;
  if (break_ < wanted) return heap::kFailed;
  if (page_ceil(break_) < page_ceil(old)) drop(page_ceil(break_), page_ceil(old) - page_ceil(break_));
  return old;
}

Address ScriptMemory::map(const heap::MapRequest& request) {
  const Call& call = expect(kCallMmap, request.hint, request.length, 0);
  return is_error(call.result) ? heap::kFailed : call.result;
}

bool ScriptMemory::unmap(Address start, std::uint64_t length) {
  const bool done = !is_error(expect(kCallMunmap, start, length, 0).result);
  if (done) drop(start, length);
  return done;
}

Address ScriptMemory::remap(Address start, std::uint64_t old_length, std::uint64_t new_length) {
  const Address moved = expect(kCallMremap, start, old_length, new_length).result;
  if (is_error(moved)) return heap::kFailed;
  if (moved == start) {
    if (new_length < old_length) drop(start + new_length, old_length - new_length);
    return moved;
  }
  const std::vector<unsigned char> pages = resident(start, old_length);
  for (std::size_t i = 0; i < pages.size() && i * kPageSize < new_length; ++i) {
    if ((pages[i] & 1U) != 0) copy(moved + i * kPageSize, start + i * kPageSize, kPageSize);
  }
  drop(start, old_length);
  return moved;
}

bool ScriptMemory::protect(Address start, std::uint64_t length, heap::Protection) {
  return !is_error(expect(kCallMprotect, start, length, 0).result);
}

bool ScriptMemory::advise(Address start, std::uint64_t length, heap::Advice advice) {
  const bool drops = advice == heap::Advice::dont_need;
  const bool done = !is_error(expect(kCallMadvise, start, length, drops ? MADV_DONTNEED : MADV_HUGEPAGE).result);
  if (done && drops) drop(start, length);
  return done;
}

void ScriptMemory::clear(Address start, std::uint64_t length) { std::memset(host(start, length), 0, length); }

void ScriptMemory::copy(Address to, Address from, std::uint64_t length) {
  std::memcpy(host(to, length), host(from, length), length);
}

void ScriptMemory::touch(Address start, std::uint64_t length) {
  for (Address at = start; at < start + length; at = page_floor(at) + kPageSize) *host(at, 1) = 0x5a;
}

std::vector<unsigned char> ScriptMemory::resident(Address start, std::uint64_t length) const {
  std::vector<unsigned char> pages(length / kPageSize);
  FL_ASSERT(mincore(host(start, length), length, pages.data()) == 0);
  return pages;
}

std::uint64_t ScriptMemory::hash_residency(std::uint64_t hash, Address start, Address end) const {
  const Address low = page_floor(start), high = page_ceil(end);
  if (high <= low || high - low > std::uint64_t{4} << 30) return hash;
  for (const unsigned char page : resident(low, high - low)) hash = mix(hash, page & 1U);
  return hash;
}

}  // namespace faultline::diff
