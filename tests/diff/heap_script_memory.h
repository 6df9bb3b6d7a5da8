// The model's memory while it is compared with a driver's run: every system call must be the driver's next one, and gets
// the driver's answer, so that addresses are equal to the last bit and refusals happen at the same call.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/units.h"
#include "heap/memory_provider.h"
#include "heap_driver_run.h"

namespace faultline::diff {

struct Mismatch {
  std::string what;
};

class ScriptMemory {
 public:
  explicit ScriptMemory(const DriverRun& run);
  ~ScriptMemory();
  ScriptMemory(const ScriptMemory&) = delete;
  ScriptMemory& operator=(const ScriptMemory&) = delete;

  std::uint64_t page_size() const { return kPageSize; }
  heap::Address sbrk(std::int64_t delta);
  heap::Address map(const heap::MapRequest& request);
  bool unmap(heap::Address start, std::uint64_t length);
  heap::Address remap(heap::Address start, std::uint64_t old_length, std::uint64_t new_length);
  bool protect(heap::Address start, std::uint64_t length, heap::Protection protection);
  bool advise(heap::Address start, std::uint64_t length, heap::Advice advice);
  std::uint64_t load_word(heap::Address address) const { return *word(address); }
  void store_word(heap::Address address, std::uint64_t value) { *word(address) = value; }
  void clear(heap::Address start, std::uint64_t length);
  void copy(heap::Address to, heap::Address from, std::uint64_t length);

  std::uint32_t calls_made() const { return next_; }
  heap::Address start_break() const { return start_break_; }
  heap::Address current_break() const { return break_; }
  // Same hash as the driver's over the same range, from which pages this memory really holds.
  std::uint64_t hash_residency(std::uint64_t hash, heap::Address start, heap::Address end) const;
  bool is_resident(heap::Address page) const { return (resident(page, kPageSize)[0] & 1U) != 0; }
  void touch(heap::Address start, std::uint64_t length);  // by the program, which writes

 private:
  const Call& expect(std::uint64_t number, heap::Address address, std::uint64_t length, std::uint64_t extra);
  char* host(heap::Address address, std::uint64_t length) const;
  std::uint64_t* word(heap::Address address) const { return reinterpret_cast<std::uint64_t*>(host(address, 8)); }
  void drop(heap::Address start, std::uint64_t length);
  std::vector<unsigned char> resident(heap::Address start, std::uint64_t length) const;

  std::span<const Call> calls_;
  std::uint32_t next_ = 0;
  heap::Address start_break_, break_, map_low_;
  char* heap_host_;
  char* map_host_;
};

static_assert(heap::MemoryProvider<ScriptMemory>);

}  // namespace faultline::diff
