#include "trace/references/repeat_filter.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace faultline::trace {

RepeatFilter::RepeatFilter(std::uint32_t window) : window_(window), pages_(std::bit_ceil(std::size_t{window} * 4)) {
  FL_ASSERT(window >= 1 && window <= kLargestWindow);
}

RepeatFilter::Page* RepeatFilter::find(std::uint64_t page, std::vector<ReferenceEvent>& out) {
  for (;;) {
    const std::size_t mask = pages_.size() - 1;
    std::size_t at = static_cast<std::size_t>((page * 0x9e3779b97f4a7c15u) >> 40) & mask;
    for (; pages_[at].stretch == stretch_; at = (at + 1) & mask)
      if (pages_[at].page == page) return &pages_[at];
    if (in_stretch_.size() < window_) {
      pages_[at] = Page{};
      pages_[at].page = page;
      pages_[at].stretch = stretch_;
      in_stretch_.push_back(&pages_[at]);
      return &pages_[at];
    }
    flush(out);
  }
}

void RepeatFilter::flush(std::vector<ReferenceEvent>& out) {
  lasts_.clear();
  for (const Page* page : in_stretch_)
    if (page->last != page->kept) lasts_.push_back({page->last, page->page, page->last_kind});
  const auto earlier = [](const Kept& a, const Kept& b) { return a.clock < b.clock; };
  std::sort(lasts_.begin(), lasts_.end(), earlier);
  ReferenceEvent event;
  event.process = process_;
  const auto pass = [&](const Kept& kept) {
    event.kind = kept.kind;
    event.page = kept.page;
    out.push_back(event);
  };
  auto last = lasts_.begin();
  for (const Kept& kept : kept_) {
    for (; last != lasts_.end() && last->clock < kept.clock; ++last) pass(*last);
    pass(kept);
  }
  for (; last != lasts_.end(); ++last) pass(*last);
  passed_ += kept_.size() + lasts_.size();
  kept_.clear();
  in_stretch_.clear();
  recent_[0] = recent_[1] = last_ = nullptr;
  if (++stretch_ == 0) {  // a number used before would make old places new
    std::fill(pages_.begin(), pages_.end(), Page{});
    stretch_ = 1;
  }
}

void RepeatFilter::change_process(std::uint32_t process, std::vector<ReferenceEvent>& out) {
  flush(out);
  process_ = process;
}

void RepeatFilter::add_call(const ReferenceEvent& event, std::vector<ReferenceEvent>& out) {
  flush(out);
  out.push_back(event);
}

FilteredSource::FilteredSource(std::unique_ptr<ReferenceSource> source, std::uint32_t window)
    : source_(std::move(source)), window_(window), filter_(window), in_(4096) {}

Result<std::size_t> FilteredSource::next(std::span<ReferenceEvent> buffer) {
  while (at_ == out_.size() && !ended_) {
    out_.clear();
    at_ = 0;
    FL_TRY(const std::size_t count, source_->next(in_));
    for (std::size_t i = 0; i < count; ++i) filter_.add(in_[i], out_);
    if (count == 0) {
      filter_.flush(out_);
      ended_ = true;
    }
  }
  const std::size_t count = std::min(buffer.size(), out_.size() - at_);
  std::copy_n(out_.begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
  at_ += count;
  return count;
}

Result<void> FilteredSource::rewind() {
  FL_CHECK(source_->rewind());
  filter_ = RepeatFilter(window_);
  out_.clear();
  at_ = 0;
  ended_ = false;
  return {};
}

}  // namespace faultline::trace
