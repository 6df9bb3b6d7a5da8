#include "replay/fault_touches.h"

#include <algorithm>

namespace faultline::replay {
namespace {

constexpr std::uint64_t kMadvDontNeed = 4;  // MADV_DONTNEED of madvise(2)
constexpr std::uint64_t kClockNs = 1'000;  // heap events carry the CPU's tick counter, faults the kernel's clock

}  // namespace

FaultTouches::FaultTouches(const Program& program, std::span<const trace::FaultEvent> faults, std::span<const trace::MemoryCall> calls,
                           bool complete, std::uint64_t initial_brk)
    : program_(program), faults_(faults), calls_(calls), break_(initial_brk), followed_(complete && !faults.empty()) {}

// What the kernel did up to this time.
void FaultTouches::advance(std::uint64_t time_ns) {
  while (true) {
    const bool fault = next_fault_ < faults_.size() && faults_[next_fault_].time_ns <= time_ns;
    const bool call = next_call_ < calls_.size() && calls_[next_call_].begin_ns <= time_ns;
    if (!fault && !call) return;
    if (call && (!fault || calls_[next_call_].begin_ns <= faults_[next_fault_].time_ns)) {
      apply(calls_[next_call_++]);
    } else {
      meet(faults_[next_fault_++]);
    }
  }
}

void FaultTouches::apply(const trace::MemoryCall& call) {
  if (call.result < 0 && call.result > -4096) return;
  if (call.kind == trace::CallKind::brk) {
    const auto now = static_cast<std::uint64_t>(call.result);
    if (now < break_) resident_.remove(page_ceil(now), page_ceil(break_));
    break_ = now;
  } else if (call.kind == trace::CallKind::munmap || (call.kind == trace::CallKind::madvise && call.args[2] == kMadvDontNeed)) {
    resident_.remove(call.args[0], page_ceil(call.args[0] + call.args[1]));
  }
}

void FaultTouches::meet(const trace::FaultEvent& fault) {
  const std::uint64_t page = page_floor(fault.address);
  auto at = live_.upper_bound(page + kPageSize - 1);
  while (at != live_.begin()) {  // one block may end in the page and another begin there
    --at;
    Live& live = at->second;
    if (live.block.address + live.block.size <= page) break;
    note(live, fault);
  }
  resident_.add(page, page + kPageSize);
}

void FaultTouches::note(Live& live, const trace::FaultEvent& fault) {
  const Block& block = live.block;
  const std::uint64_t index = (fault.address >> kPageShift) - (block.address >> kPageShift);
  Page& page = live.pages[index];
  const bool outside = fault.address < block.address || fault.address >= block.address + block.size;  // a neighbour, or a header
  // The allocator itself: realloc's copy, calloc's clearing. It does the same in every layout that needs it.
  const bool allocator = fault.time_ns < block.born_ns && (block.zeroed || fault.address < block.address + block.kept);
  if (outside || allocator) {
    if (page == Page::fresh) page = Page::unknown;
    return;
  }
  const bool write = fault.access != trace::FaultAccess::read;
  if (page == Page::written || page == Page::read_written) return;
  if (page == Page::read && !write) return;
  page = !write ? Page::read : page == Page::read ? Page::read_written : Page::written;
  live.touches.push_back({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(fault.address & (kPageSize - 1)), fault.time_ns, write});
}

void FaultTouches::born(const Block& block) {
  if (!followed_) return;
  advance(block.birth_ns);
  Live& live = live_[block.address];
  live = {.block = block, .pages = {}, .touches = {}};
  const std::uint64_t first = page_floor(block.address), end = block.address + block.size;
  live.pages.resize((page_ceil(end) - first) >> kPageShift, Page::fresh);
  for (std::size_t i = 0; i < live.pages.size(); ++i) {
    const std::uint64_t page = first + (i << kPageShift);
    if (!block.mmapped && resident_.contains(page)) live.pages[i] = Page::unknown;
    if (page < block.address + block.kept) live.pages[i] = Page::unknown;  // the old block's, wherever it was
  }
  if (block.mmapped) live.pages[0] = Page::unknown;  // the chunk's header is there
  blocks_.push_back(block.birth);
}

void FaultTouches::died(std::uint64_t address, std::uint32_t event, std::uint64_t time_ns) {
  if (!followed_) return;
  advance(time_ns + kClockNs);
  const auto at = live_.find(address);
  if (at == live_.end()) return;
  leave(at->second, event);
  live_.erase(at);
}

// The last event that had begun by then, between birth and end of the block.
std::uint32_t FaultTouches::event_at(std::uint64_t time_ns, std::uint32_t from, std::uint32_t to) const {
  const auto time = static_cast<std::uint32_t>(time_ns / program_.time_unit_ns);
  const auto first = program_.events.begin();
  const auto after = std::partition_point(first + from, first + std::min<std::size_t>(to, program_.events.size()), [&](const Event& e) { return e.time <= time; });
  return std::max(from, static_cast<std::uint32_t>(after - first) - (after == first ? 0 : 1));
}

// A block is gone: what was seen of it goes to its site and into the program.
void FaultTouches::leave(const Live& live, std::uint32_t last_event) {
  const Block& block = live.block;
  const std::uint64_t first = page_floor(block.address), end = block.address + block.size;
  auto offset_of = [&](std::uint64_t address) { return std::min(std::max(address, block.address), end) - block.address; };
  auto touched = [&](std::size_t i) { return i < live.pages.size() && live.pages[i] >= Page::read; };
  SiteTouches::Block seen;
  for (std::size_t i = 0; i < live.pages.size(); ++i) {
    const std::uint64_t begin = offset_of(first + (i << kPageShift));
    std::uint64_t stop = offset_of(first + ((i + 1) << kPageShift));
    // The page of a mapped chunk's header: where the next one is not touched, what is used ends somewhere in this one.
    if (i == 0 && block.mmapped && !touched(1)) stop = offset_of(first + kPageSize / 2);
    if (live.pages[i] == Page::unknown) {
      if (stop > block.kept) {
        const std::uint64_t from = std::max(begin, block.kept);
        const bool joins = !undecided_.empty() && undecided_.back().birth == block.birth && undecided_.back().end == from;
        if (joins) undecided_.back().end = stop;
        else undecided_.push_back({block.birth, block.slot, block.stack, block.size, from, stop, block.zeroed});
      }
      continue;
    }
    SiteTouches::Seen& part = seen[SiteTouches::part_of(begin, block.size)];
    switch (live.pages[i]) {
      case Page::read: part.read_only += 1; break;
      case Page::read_written: part.read_first += 1; break;
      case Page::written: part.written += 1; break;
      default: part.untouched += 1;
    }
  }
  sites_.learn(block.stack, block.size, seen);

  // Which bytes of a page were touched is known only of the first access. A run of touched pages is one stretch, from the first
  // access in its first page to the middle of its last; a page alone is one byte. So a layout that puts the block elsewhere
  // on its pages touches as many pages as this one, give or take half a page a run.
  const auto birth_event = block.birth;
  for (const Touch& touch : live.touches) {
    const std::uint64_t page = first + (std::uint64_t{touch.page} << kPageShift), access = offset_of(page + touch.offset);
    const bool before = touch.page > 0 && touched(touch.page - 1), after = touched(touch.page + 1);
    std::uint64_t from = access, to = access + 1;
    if (before) from = offset_of(page);
    if (after) to = offset_of(page + kPageSize);
    if (before && !after) to = std::max(to, offset_of(page + kPageSize / 2));
    const std::uint32_t event = event_at(touch.time_ns, birth_event, last_event);
    if (!out_.empty()) {
      TimedTouch& last = out_.back();
      if (last.event == event && last.slot == block.slot && last.write == touch.write && last.end == from) {
        last.end = to;
        continue;
      }
    }
    out_.push_back({.begin = from, .end = to, .event = event, .slot = block.slot, .write = touch.write, .ground = Ground::seen});
  }
}

void FaultTouches::decide() {
  for (const Undecided& stretch : undecided_) {
    struct Stretch {
      std::uint64_t begin = 0, end = 0;
      Ground ground = Ground::guessed;
    };
    std::vector<Stretch> read, written;
    for (std::uint64_t at = stretch.begin; at < stretch.end;) {
      const std::uint64_t next = std::min(stretch.end, page_floor(at) + kPageSize);
      const SiteTouches::Usual usual = sites_.usual(stretch.stack, stretch.size, SiteTouches::part_of(at, stretch.size));
      // The page with the header is resident whatever the program does.
      if (at == 0 || sites_.spread(stretch.stack, stretch.size, usual.touched)) {
        const bool look = usual.seen ? usual.read_first || usual.read_only : stretch.zeroed;
        const Ground ground = usual.of_site ? Ground::usual : Ground::guessed;
        auto append = [&](std::vector<Stretch>& list) {
          if (!list.empty() && list.back().end == at && list.back().ground == ground) list.back().end = next;
          else list.push_back({at, next, ground});
        };
        if (look) append(read);
        if (!usual.seen || !usual.read_only) append(written);
      }
      at = next;
    }
    for (const std::vector<Stretch>* list : {&read, &written})
      for (const Stretch& part : *list)
        out_.push_back({.begin = part.begin, .end = part.end, .event = stretch.birth, .slot = stretch.slot, .write = list == &written, .ground = part.ground});
  }
  undecided_.clear();
}

void FaultTouches::finish(Program& program) {
  if (!followed_) return;
  advance(~std::uint64_t{0});
  const auto end = static_cast<std::uint32_t>(program.events.size());
  for (const auto& [address, live] : live_) leave(live, end);
  live_.clear();
  decide();
  // The sort is stable: what was seen of one block stays in the order it happened.
  std::stable_sort(out_.begin(), out_.end(), [](const TimedTouch& x, const TimedTouch& y) { return x.event < y.event; });
  program.timed_touches = std::move(out_);
  program.timed_blocks = std::move(blocks_);
  program.usual_error = sites_.error_within();
  program.guessed_error = sites_.error_across();
}

}  // namespace faultline::replay
