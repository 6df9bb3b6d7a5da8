#include "replay/order/recorded_memory.h"

#include <algorithm>

#include "base/assert.h"

namespace faultline::replay {
namespace {

using heap::Address;
using trace::CallKind;

bool refused(std::uint64_t result) { return result > ~std::uint64_t{0} - 4095; }

}  // namespace

void RecordedMemory::take_back(const Mark& mark) {
  FL_ASSERT(mark.stores >= forgotten_);
  for (; forgotten_ + journal_.size() > mark.stores; journal_.pop_back()) *journal_.back().at = journal_.back().before;
  break_ = mark.break_at;
}

void RecordedMemory::forget(const Mark& mark) {
  FL_ASSERT(mark.stores >= forgotten_);
  journal_.erase(journal_.begin(), journal_.begin() + static_cast<std::ptrdiff_t>(mark.stores - forgotten_));
  forgotten_ = mark.stores;
}

void RecordedMemory::select(std::uint64_t number) {
  std::unique_ptr<Table>& table = tables_[number];
  if (table == nullptr) table = std::make_unique<Table>();
  last_number_ = number;
  last_ = table.get();
}

const AllocatorCall& RecordedMemory::next(CallKind kind) {
  if (calls_.empty() || calls_.front().kind != kind) throw Diverged{};
  const AllocatorCall& call = calls_.front();
  calls_ = calls_.subspan(1);
  return call;
}

Address RecordedMemory::sbrk(std::int64_t delta) {
  const Address old = break_, wanted = old + static_cast<std::uint64_t>(delta);
  if (delta == 0) return old;
  if (any_) return break_ = wanted, old;
  const AllocatorCall& call = next(CallKind::brk);
  if (call.address != wanted) throw Diverged{};
  break_ = call.result;
  return break_ == wanted ? old : heap::kFailed;
}

Address RecordedMemory::map(const heap::MapRequest& request) {
  const AllocatorCall& call = next(CallKind::mmap);
  if (call.length != request.length) throw Diverged{};
  return refused(call.result) ? heap::kFailed : call.result;
}

bool RecordedMemory::unmap(Address start, std::uint64_t length) {
  if (any_) return true;
  const AllocatorCall& call = next(CallKind::munmap);
  if (call.address != start || call.length != length) throw Diverged{};
  return !refused(call.result);
}

Address RecordedMemory::remap(Address start, std::uint64_t old_length, std::uint64_t new_length) {
  const AllocatorCall& call = next(CallKind::mremap);
  if (call.address != start || call.length != old_length || call.new_length != new_length) throw Diverged{};
  if (refused(call.result)) return heap::kFailed;
  if (call.result != start) {  // the header goes along, wherever an aligned block has it; nothing else is ever read
    for (std::uint64_t at = 0; at < std::min(old_length, new_length); at += kPageSize) {
      store_word(call.result + at, load_word(start + at));
      store_word(call.result + at + 8, load_word(start + at + 8));
    }
  }
  return call.result;
}

bool RecordedMemory::protect(Address start, std::uint64_t length, heap::Protection) {
  if (any_) return true;
  const AllocatorCall& call = next(CallKind::mprotect);
  if (call.address != start || call.length != length) throw Diverged{};
  return !refused(call.result);
}

bool RecordedMemory::advise(Address start, std::uint64_t length, heap::Advice) {
  if (any_) return true;
  const AllocatorCall& call = next(CallKind::madvise);
  if (call.address != start || call.length != length) throw Diverged{};
  return !refused(call.result);
}

}  // namespace faultline::replay
