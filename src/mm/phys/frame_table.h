// FrameTable: the machine's physical frames, each with a use and a reference count.
// Counterpart: mem_map's struct page/folio with the buddy allocator reduced to single frames.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/units.h"

namespace faultline::mm {

struct TablePage;  // contents of a page-table frame (paging/page_table.h)

enum class FrameUse : std::uint8_t { free, zero_page, anonymous, file, page_table };
inline constexpr std::size_t kFrameUses = 5;

struct Frame {
  std::uint32_t references = 0;  // page-table entries that map it; 0 only when free
  FrameUse use = FrameUse::free;
  TablePage* table = nullptr;  // use page_table: what it holds; owned by the PageTable
};

class FrameTable {
 public:
  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

  // limit: frames of the machine, the zero page not counted.
  explicit FrameTable(std::uint64_t limit = kNoLimit);

  // A frame with one reference, or nothing when the machine is full. The lowest free number is not promised.
  std::optional<Pfn> allocate(FrameUse use) {
    if (in_use_ >= limit_) return std::nullopt;
    std::uint64_t number;
    if (free_.empty()) {
      number = frames_.size();
      frames_.emplace_back();
    } else {
      number = free_.back();
      free_.pop_back();
    }
    frames_[number] = Frame{.references = 1, .use = use};
    ++in_use_;
    ++by_use_[static_cast<std::size_t>(use)];
    return Pfn(number);
  }
  void acquire(Pfn pfn);
  void release(Pfn pfn);  // the last reference frees it

  Frame& at(Pfn pfn) { return frames_[pfn.value]; }
  const Frame& at(Pfn pfn) const { return frames_[pfn.value]; }
  Pfn zero_frame() const { return Pfn(0); }  // mapped by any number of entries, never counted
  std::uint64_t in_use() const { return in_use_; }
  std::uint64_t count(FrameUse use) const { return by_use_[static_cast<std::size_t>(use)]; }
  std::uint64_t limit() const { return limit_; }
  void check_invariants() const;

 private:
  std::uint64_t limit_;
  std::uint64_t in_use_ = 0;
  std::array<std::uint64_t, kFrameUses> by_use_{};
  std::vector<Frame> frames_;
  std::vector<std::uint64_t> free_;
};

}  // namespace faultline::mm
