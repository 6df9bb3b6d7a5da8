// heap::LoggingMemory<P>: a MemoryProvider that passes every call on to P and remembers the system calls among them,
// in order, with arguments and result: the twin's side of "the brk/mmap/munmap/mremap/madvise stream is equal".
// sbrk(0) makes no system call and is not remembered. Word accesses are passed on unseen.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "heap/look_ahead.h"

namespace faultline::heap {

enum class MemoryCall : std::uint8_t { sbrk, map, unmap, remap, protect, advise };
inline constexpr std::size_t kMemoryCalls = 6;

struct CallRecord {
  MemoryCall kind = MemoryCall::sbrk;
  Protection protection = Protection::none;  // map, protect
  Advice advice = Advice::dont_need;         // advise
  Address address = 0;                       // map: the hint; unmap, remap, protect, advise: the argument; else 0
  std::uint64_t length = 0;                  // map, unmap, protect, advise: bytes; remap: the old length
  std::uint64_t new_length = 0;              // remap
  std::int64_t delta = 0;                    // sbrk
  Address result = 0;                        // sbrk: the old break; map, remap: the address; the others: 0 done, kFailed refused
  bool operator==(const CallRecord&) const = default;
};

enum class LogMode : std::uint8_t { records, counts_only };  // counts_only never allocates

template <MemoryProvider P>
class LoggingMemory {
 public:
  explicit LoggingMemory(P& below, LogMode mode = LogMode::records) : below_(below), mode_(mode) {}

  std::uint64_t page_size() const { return below_.page_size(); }
  Address sbrk(std::int64_t delta) {
    const Address result = below_.sbrk(delta);
    if (delta != 0) add({.kind = MemoryCall::sbrk, .delta = delta, .result = result});
    return result;
  }
  Address map(const MapRequest& request) {
    const Address result = below_.map(request);
    add({.kind = MemoryCall::map, .protection = request.protection, .address = request.hint, .length = request.length, .result = result});
    return result;
  }
  bool unmap(Address address, std::uint64_t length) {
    const bool done = below_.unmap(address, length);
    add({.kind = MemoryCall::unmap, .address = address, .length = length, .result = answer(done)});
    return done;
  }
  Address remap(Address address, std::uint64_t old_length, std::uint64_t new_length) {
    const Address result = below_.remap(address, old_length, new_length);
    add({.kind = MemoryCall::remap, .address = address, .length = old_length, .new_length = new_length, .result = result});
    return result;
  }
  bool protect(Address address, std::uint64_t length, Protection protection) {
    const bool done = below_.protect(address, length, protection);
    add({.kind = MemoryCall::protect, .protection = protection, .address = address, .length = length,
         .result = answer(done)});
    return done;
  }
  bool advise(Address address, std::uint64_t length, Advice advice) {
    const bool done = below_.advise(address, length, advice);
    add({.kind = MemoryCall::advise, .advice = advice, .address = address, .length = length, .result = answer(done)});
    return done;
  }
  void prefetch(Address address) const
    requires looks_ahead<P>
  {
    below_.prefetch(address);
  }
  std::uint64_t peek(Address address) const
    requires looks_ahead<P>
  {
    return below_.peek(address);
  }
  std::uint64_t load_word(Address address) { return below_.load_word(address); }
  void store_word(Address address, std::uint64_t value) { below_.store_word(address, value); }
  void clear(Address address, std::uint64_t length) { below_.clear(address, length); }
  void copy(Address to, Address from, std::uint64_t length) { below_.copy(to, from, length); }

  // Calls since construction or the last clear_log(). In counts_only mode records() stays empty.
  const std::vector<CallRecord>& records() const { return records_; }
  std::uint64_t count(MemoryCall kind) const { return counts_[static_cast<std::size_t>(kind)]; }
  std::uint64_t total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t n : counts_) sum += n;
    return sum;
  }
  void clear_log() {
    records_.clear();
    counts_.fill(0);
  }
  P& below() { return below_; }

 private:
  static Address answer(bool done) { return done ? 0 : kFailed; }
  void add(const CallRecord& record) {
    ++counts_[static_cast<std::size_t>(record.kind)];
    if (mode_ == LogMode::records) records_.push_back(record);
  }

  P& below_;
  LogMode mode_;
  std::array<std::uint64_t, kMemoryCalls> counts_{};
  std::vector<CallRecord> records_;
};

}  // namespace faultline::heap
