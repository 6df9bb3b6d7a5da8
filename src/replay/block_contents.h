// BlockContents: what a program changed in one block, page by page, as the recorder compared it with what the block held when
// it was given.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/units.h"
#include "trace/event.h"

namespace faultline::replay {

class BlockContents {
 public:
  static constexpr std::uint32_t kLine = 64;  // bytes: what is compared as one
  struct Page {
    bool compared = false;
    bool zero = false;                 // nothing but zeroes now
    bool cleared = false;              // what it held was overwritten with zeroes, for the most part
    std::uint32_t begin = 0, end = 0;  // of the bytes in the page that changed, by lines; begin == end: none
    bool changed() const { return begin != end; }
  };

  // observation: with contents, or nullptr: then nothing is known.
  BlockContents(const trace::TouchObservation* observation, std::uint64_t address) {
    if (observation == nullptr || observation->address != address) return;
    for (const trace::ContentRun& run : observation->contents) {
      if (run.pages > kMost - pages_.size()) break;
      pages_.insert(pages_.end(), run.pages, page_of(run));
      if (pages_.back().changed()) last_changed_ = pages_.size() - 1;
    }
  }

  bool any() const { return !pages_.empty(); }
  // A page behind this one changed: what fills a block from its beginning came by here, and may have written what was there before.
  bool changed_behind(std::size_t index) const { return index < last_changed_; }
  // The page nothing was asked of is like the one before it: of large blocks every so many pages were compared.
  Page like(std::size_t index) const {
    for (std::size_t i = std::min(index + 1, pages_.size()); i-- > 0;)
      if (pages_[i].compared) return i == index ? at(i) : whole(pages_[i]);
    return {};
  }
  Page at(std::size_t index) const { return index < pages_.size() ? pages_[index] : Page{}; }

 private:
  static constexpr std::size_t kMost = std::size_t{1} << 22;
  std::vector<Page> pages_;  // from the one the block begins in
  std::size_t last_changed_ = 0;

  static Page whole(Page page) {
    if (page.changed()) page.begin = 0, page.end = kPageSize;
    return page;
  }
  static Page page_of(const trace::ContentRun& run) {
    Page page{.compared = run.compared, .zero = run.zero, .cleared = run.cleared};
    if (run.changed && run.first <= run.last && run.last < kPageSize / kLine) page.begin = run.first * kLine, page.end = (run.last + 1u) * kLine;
    return page;
  }
};

}  // namespace faultline::replay
