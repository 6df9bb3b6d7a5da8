#include "mm/reclaim/reclaim.h"

#include <algorithm>

#include "base/assert.h"
#include "mm/backing/file_object.h"
#include "mm/backing/swap_space.h"

namespace faultline::mm {

namespace {

constexpr std::uint64_t kBatch = 32;  // SWAP_CLUSTER_MAX
constexpr int kRetries = 16;          // MAX_RECLAIM_RETRIES

const PolicyDescriptor& descriptor_of(const ReclaimConfig& config) {
  const PolicyDescriptor* const found = find_policy(config.policy);
  FL_ASSERT(found != nullptr);
  return *found;
}

// Of a file with a page cache: it belongs to a folio. An opaque file has single pages.
bool in_file(const Frame& frame) { return frame.use == FrameUse::file && frame.file != nullptr; }

}  // namespace

Reclaim::Reclaim(FrameTable& frames, ReverseMap& entries, SwapSpace* swap, VirtualClock& clock, const ReclaimConfig& config)
    : frames_(frames),
      entries_(entries),
      swap_(swap),
      clock_(clock),
      config_(config),
      descriptor_(descriptor_of(config)),
      limit_(config.limit_pages, config.charge_batch) {
  config_.settings.capacity = config.limit_pages;
  config_.settings.view = this;
  config_.settings.stale_statistics = config.statistics_period_ns != 0;
  next_statistics_ns_ = config.statistics_period_ns != 0 ? config.statistics_first_ns : ~std::uint64_t{0};
  policy_ = descriptor_.create(config_.settings);
}

// --- what happens to frames ---

// try_charge_memcg(). A folio of several pages is read ahead of its use: __GFP_NORETRY.
bool Reclaim::charge(std::uint64_t pages) {
  if (limit_.charge(pages)) return true;
  const std::uint64_t from_ns = clock_.now_ns();
  bool enough = false;
  const int most = pages > 1 ? 1 : kRetries;
  for (int tries = 0; tries < most && !enough; ++tries) {
    ++statistics_.runs;
    run_until(clock_.now_ns());
    policy_->reclaim(std::max(pages, kBatch), *this);
    enough = limit_.charge(pages);
    if (!enough && pages == 1 && !config_.settings.group_waits) wait_for_next_write();
  }
  statistics_.stalled_ns += clock_.now_ns() - from_ns;
  if (!enough && pages == 1) statistics_.out_of_memory = true;
  return enough;
}

PageId Reclaim::new_page() {
  if (free_pages_.empty()) {
    frame_of_.emplace_back();
    return static_cast<PageId>(frame_of_.size() - 1);
  }
  const PageId page = free_pages_.back();
  free_pages_.pop_back();
  return page;
}

void Reclaim::on_taken(Pfn pfn) {
  Frame& frame = frames_.at(pfn);
  if (frame.page == kNoFramePage) frame.page = new_page();
  frame_of_[frame.page] = pfn;
  const Moment now{.time = time_++};
  policy_->on_miss(frame.page, now);
  policy_->on_insert(frame.page, now);
}

void Reclaim::on_freed(Pfn pfn) {
  limit_.uncharge();
  const PageId page = frames_.at(pfn).page;
  if (page == kNoFramePage) return;
  policy_->on_remove(page, evicting_ ? Removal::evicted : Removal::freed);
  if (!evicting_) free_pages_.push_back(page);
}

void Reclaim::on_split(Pfn pfn) {
  Frame& frame = frames_.at(pfn);
  if (frame.page == kNoFramePage) return;
  policy_->on_remove(frame.page, Removal::freed);
  free_pages_.push_back(frame.page);
  frame.page = kNoFramePage;
  frame.writing = false;
}

void Reclaim::on_forgotten(std::uint32_t page) {
  policy_->on_forget(page);
  free_pages_.push_back(page);
}

void Reclaim::on_access(Pfn pfn, const Moment& now) {
  const PageId page = frames_.at(pfn).page;
  if (page != kNoFramePage) policy_->on_access(page, now);
}

PageId Reclaim::page_of(Pfn pfn) const {
  const Frame& frame = frames_.at(pfn);
  const bool cached = in_file(frame) && frame.file->cached(frame.index);
  return cached ? frames_.at(frame.file->frame(frame.file->folio(frame.index).first)).page : frame.page;
}

void Reclaim::on_marked_accessed(Pfn pfn) {
  const PageId page = page_of(pfn);
  if (page != kNoFramePage) policy_->on_mark_accessed(page);
}

bool Reclaim::in_working_set(Pfn pfn) const {
  const PageId page = page_of(pfn);
  return page != kNoFramePage && policy_->in_working_set(page);
}

// --- what policies ask ---

unsigned Reclaim::accessed_entries(PageId page) {
  ++statistics_.looked_at;
  clock_.advance(config_.look_ns);
  const Pfn pfn = frame_of_[page];
  const Frame& frame = frames_.at(pfn);
  if (!in_file(frame)) return entries_.test_and_clear_accessed(pfn);
  const Folio folio = frame.file->folio(frame.index);
  // folio_referenced() counts the mappings through which it was accessed, not the pages.
  unsigned entries = 0;
  for (std::uint64_t at = folio.first; at < folio.end(); ++at) entries = std::max(entries, entries_.test_and_clear_accessed(frame.file->frame(at)));
  return entries;
}

std::uint64_t Reclaim::pages(PageId page) const {
  const Frame& frame = frames_.at(frame_of_[page]);
  return in_file(frame) ? frame.file->folio(frame.index).pages() : 1;
}

// Frames first, then the entries they lead to: a look at a page that lies anywhere costs two cache misses, which overlap this way.
void Reclaim::prefetch(std::span<const PageId> pages) const {
  for (const PageId page : pages) __builtin_prefetch(&frame_of_[page]);
  for (const PageId page : pages) __builtin_prefetch(&frames_.at(frame_of_[page]), 1);
  for (const PageId page : pages) {
    entries_.prefetch(frame_of_[page]);
    if (const Frame& frame = frames_.at(frame_of_[page]); frame.swap_cache) swap_->area().prefetch(SwapSlot(frame.index));
  }
}

void Reclaim::prefetch_returning(std::uint32_t page) const {
  __builtin_prefetch(&frame_of_[page], 1);
  policy_->prefetch(std::span(&page, 1));
}

bool Reclaim::dirty(PageId page) const {
  const Frame& frame = frames_.at(frame_of_[page]);
  if (entries_.dirty(frame_of_[page])) return true;
  return frame.use == FrameUse::anonymous ? frame.modified : frame.file != nullptr && frame.file->folio(frame.index).dirty;
}

PageKind Reclaim::kind(PageId page) const {
  return frames_.at(frame_of_[page]).use == FrameUse::file ? PageKind::file : PageKind::anonymous;
}

bool Reclaim::can_swap() const { return swap_ != nullptr && swap_->area().used() < swap_->area().capacity(); }

// --- taking pages away ---

Eviction Reclaim::evict(PageId page, bool waits) {
  const Pfn pfn = frame_of_[page];
  const Frame& frame = frames_.at(pfn);
  FL_ASSERT(frame.page == page);
  if (frame.writing) return Eviction::kept;
  evicting_ = true;
  Eviction answer = Eviction::kept;
  if (frame.use == FrameUse::file) answer = evict_file(pfn, waits);
  if (frame.use == FrameUse::anonymous) answer = evict_anonymous(page, pfn, waits);
  evicting_ = false;
  if (answer == Eviction::freed) ++statistics_.evicted;
  return answer;
}

// A clean folio leaves the page cache whole; a dirty one is written first.
Eviction Reclaim::evict_file(Pfn pfn, bool waits) {
  const Frame& frame = frames_.at(pfn);
  clock_.advance(config_.look_ns);
  if (!in_file(frame)) {  // of an opaque file: its entries are all that holds it
    entries_.forget(pfn);
    return Eviction::freed;
  }
  FileObject& file = *frame.file;
  if (!file.cached(frame.index) || file.frame(frame.index) != pfn) return Eviction::kept;  // being read in
  const Folio folio = file.folio(frame.index);
  bool written = folio.dirty;
  for (std::uint64_t at = folio.first; at < folio.end(); ++at) {
    const Frame& one = frames_.at(file.frame(at));
    if (one.references != one.users + 1) return Eviction::kept;
    written = written || entries_.dirty(file.frame(at));
  }
  for (std::uint64_t at = folio.first; at < folio.end(); ++at) entries_.forget(file.frame(at));
  if (written) {
    file.set_dirty(folio.first, false);
    statistics_.written_files += folio.pages();
    if (start_write(frame.page, pfn, waits)) return Eviction::writing;
  }
  file.remove(folio.first, true);
  return Eviction::freed;
}

Eviction Reclaim::evict_anonymous(PageId page, Pfn pfn, bool waits) {
  entries_.split_huge(pfn);
  Frame& frame = frames_.at(pfn);
  if (frame.references != frame.users + (frame.swap_cache ? 1u : 0u)) return Eviction::kept;
  if (frame.lazy_free && !entries_.dirty(pfn)) {  // MADV_FREE, and not written since: it will not come back
    evicting_ = false;
    entries_.forget(pfn);
    return Eviction::freed;
  }
  frame.lazy_free = false;
  if (!frame.swap_cache) {
    if (swap_ == nullptr) return Eviction::kept;
    const std::optional<SwapSlot> slot = swap_->area().allocate(pfn, page);
    if (!slot) return Eviction::kept;
    frames_.acquire(pfn);
    frames_.at(pfn).swap_cache = true;
    frames_.at(pfn).index = slot->value;
  }
  const SwapSlot slot(frame.index);
  clock_.advance(config_.evict_ns);
  swap_->area().add_entries(slot, entries_.swap_out(pfn, slot));
  if (frame.modified) {
    frame.modified = false;
    ++statistics_.swapped_out;
    if (start_write(page, pfn, waits)) return Eviction::writing;
  }
  if (swap_->area().entries(slot) == 0) {  // nobody has it any more
    evicting_ = false;
    swap_->leave_cache(pfn);
    return Eviction::freed;
  }
  frame.swap_cache = false;
  frame.read_ahead = false;
  swap_->area().leave_cache(slot);
  frames_.release(pfn);
  return Eviction::freed;
}

// True when the frame is busy until the device is done.
bool Reclaim::start_write(PageId page, Pfn pfn, bool waits) {
  if (swap_ == nullptr) return false;
  Frame& frame = frames_.at(pfn);
  if (!waits || swap_->device().model().synchronous) {
    (void)swap_->device().write(clock_.now_ns(), 1);
    return false;
  }
  frame.writing = true;
  frame.read_ahead = true;  // PG_reclaim, which is the same bit as PG_readahead
  if (frame.swap_cache) {
    swap_->writes().add(SwapSlot(frame.index), {pfn, page});
  } else {
    swap_->writes().send({pfn, page});
  }
  return true;
}

void Reclaim::plug() {
  if (swap_ != nullptr) swap_->writes().plug();
}

void Reclaim::unplug() {
  if (swap_ != nullptr) swap_->writes().unplug();
}

void Reclaim::finish(const SwapWrites::Write& write) {
  Frame& frame = frames_.at(write.pfn);
  if (frame.page != write.page || !frame.writing) return;  // the page is gone, and with it the need to write it
  frame.writing = false;
  if (!frame.read_ahead) return;  // folio_end_writeback(): a fault met it meanwhile, and took the bit for one of read-ahead
  frame.read_ahead = false;
  policy_->on_written(write.page);
}

void Reclaim::run_until(std::uint64_t now_ns) {
  if (now_ns >= next_statistics_ns_) {
    policy_->on_statistics();
    next_statistics_ns_ += ((now_ns - next_statistics_ns_) / config_.statistics_period_ns + 1) * config_.statistics_period_ns;
  }
  if (swap_ == nullptr) return;
  SwapWrites& writes = swap_->writes();
  for (auto done_ns = writes.next_done_ns(); done_ns && *done_ns <= now_ns; done_ns = writes.next_done_ns()) finish(writes.take_next());
}

bool Reclaim::claim_written(PageId page) {
  Frame& frame = frames_.at(frame_of_[page]);
  const bool was = frame.read_ahead;
  frame.read_ahead = true;
  return was;
}

// Who sleeps hands in what was kept back.
void Reclaim::wait_for_next_write() {
  if (swap_ == nullptr) return;
  SwapWrites& writes = swap_->writes();
  writes.flush();
  const auto done_ns = writes.next_done_ns();
  if (!done_ns) return;
  if (*done_ns > clock_.now_ns()) clock_.advance(*done_ns - clock_.now_ns());
  finish(writes.take_next());
}

void Reclaim::wait_written(PageId page) {
  while (!swap_->writes().empty() && frames_.at(frame_of_[page]).writing) wait_for_next_write();
}

void Reclaim::check_invariants() const { policy_->check_invariants(); }

}  // namespace faultline::mm
