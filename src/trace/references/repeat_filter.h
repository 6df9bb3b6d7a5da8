// RepeatFilter: leaves out touches that repeat what the memory has just seen, so that a stream keeps one of hundreds and still
// gives the same answers.
//
// The touches of a process are cut into stretches in which it touches at most `window` different pages; a call or a touch of
// another process ends a stretch too. Of each page in a stretch these are kept, at their places in the order: the first touch, the
// first write, the first execute and the last touch. What is between them is dropped and counted.
//
// Exact: the misses of LRU and of OPT, and which pages they are, for every memory of at least `window` pages (Kaplan, Smaragdakis
// and Wilson, "Flexible reference trace reduction for VM simulations", TOMACS 2003: a touch may go if the same page is touched
// before and after it with fewer different pages between than the memory holds); the set of pages read, written and executed; all
// calls and their order; the number of touches, as dropped(). Not kept: how often a page was touched within a stretch (LFU and other
// counting policies see less of it), a second write of it that was not its last touch. With a window of 1 only touches of the
// same page in a row go, which no policy but one that counts can tell.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "trace/references/reference.h"

namespace faultline::trace {

inline constexpr std::uint32_t kDefaultWindow = 64;
inline constexpr std::uint32_t kLargestWindow = 1u << 15;

class RepeatFilter {
 public:
  explicit RepeatFilter(std::uint32_t window);

  void add(const ReferenceEvent& event, std::vector<ReferenceEvent>& out) {
    if (!is_touch(event.kind)) return add_call(event, out);
    if (event.process != process_) change_process(event.process, out);
    Page* page = recent_[event.kind == ReferenceKind::execute];  // code and data alternate: a look at each is most of the work
    if (page == nullptr || page->page != event.page) {
      page = find(event.page, out);
      recent_[event.kind == ReferenceKind::execute] = page;
    }
    if (page != last_) {
      last_ = page;
      ++clock_;
    }
    const auto bit = static_cast<std::uint8_t>(1u << static_cast<unsigned>(event.kind));
    ++seen_;
    page->last = clock_;
    page->last_kind = event.kind;
    if ((page->kinds & bit) != 0 || (page->kinds != 0 && event.kind == ReferenceKind::read)) return;
    page->kinds |= bit;
    page->kept = clock_;
    kept_.push_back({clock_, page->page, event.kind});
  }
  // What is held back: at the end of the stream, or wherever it must not be held longer.
  void flush(std::vector<ReferenceEvent>& out);

  std::uint64_t dropped() const { return seen_ - passed_; }  // exact after flush; before it, those held back are in it

 private:
  struct Page {
    std::uint64_t page = 0;
    std::uint64_t last = 0, kept = 0;  // clock of its last touch, and of the last one kept
    std::uint32_t stretch = 0;         // of another stretch: the place is free
    std::uint8_t kinds = 0;
    ReferenceKind last_kind = ReferenceKind::read;
  };
  struct Kept {
    std::uint64_t clock, page;
    ReferenceKind kind;
  };

  Page* find(std::uint64_t page, std::vector<ReferenceEvent>& out);
  void add_call(const ReferenceEvent& event, std::vector<ReferenceEvent>& out);
  void change_process(std::uint32_t process, std::vector<ReferenceEvent>& out);

  std::uint32_t window_;
  std::vector<Page> pages_;        // a hash table
  std::vector<Page*> in_stretch_;  // those of this stretch
  std::vector<Kept> kept_, lasts_;
  Page* recent_[2] = {};
  Page* last_ = nullptr;
  std::uint64_t clock_ = 0;  // counts changes of page
  std::uint32_t stretch_ = 1, process_ = 0;
  std::uint64_t seen_ = 0, passed_ = 0;
};

// Any source, without its repeats.
class FilteredSource : public ReferenceSource {
 public:
  FilteredSource(std::unique_ptr<ReferenceSource> source, std::uint32_t window);

  Result<std::size_t> next(std::span<ReferenceEvent> buffer) override;
  Result<void> rewind() override;
  const std::vector<ReferenceFile>& files() const override { return source_->files(); }
  bool has_mappings() const override { return source_->has_mappings(); }
  const std::vector<ReferenceProcess>& processes() const override { return source_->processes(); }
  std::uint64_t dropped() const override { return source_->dropped() + filter_.dropped(); }
  std::uint32_t window() const override { return window_ > source_->window() ? window_ : source_->window(); }
  std::vector<std::string> remarks() const override { return source_->remarks(); }

 private:
  std::unique_ptr<ReferenceSource> source_;
  std::uint32_t window_;
  RepeatFilter filter_;
  std::vector<ReferenceEvent> in_, out_;
  std::size_t at_ = 0;  // of out_
  bool ended_ = false;
};

}  // namespace faultline::trace
