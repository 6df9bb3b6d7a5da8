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
  live = {.block = block, .pages = {}, .of_same_site = {}, .touches = {}};
  const std::uint64_t first = page_floor(block.address), end = block.address + block.size;
  live.pages.resize((page_ceil(end) - first) >> kPageShift, Page::fresh);
  live.of_same_site.resize(live.pages.size());
  for (std::size_t i = 0; i < live.pages.size(); ++i) {
    const std::uint64_t page = first + (i << kPageShift);
    if (!block.mmapped && resident_.contains(page)) live.pages[i] = Page::unknown;
    if (!block.mmapped && compared_) {
      auto& recent = recent_sites_[page].sites;
      live.of_same_site[i] = std::find(recent.begin(), recent.end(), block.stack) != recent.end();
      if (recent.front() != block.stack) {
        std::shift_right(recent.begin(), recent.end(), 1);
        recent.front() = block.stack;
      }
    }
    if (page < block.address + block.kept) live.pages[i] = Page::unknown;  // the old block's, wherever it was
  }
  if (block.mmapped) live.pages[0] = Page::unknown;  // the chunk's header is there
  blocks_.push_back(block.birth);
}

void FaultTouches::died(std::uint64_t address, std::uint32_t event, std::uint64_t time_ns, const trace::TouchObservation* contents) {
  if (!followed_) return;
  advance(time_ns + kClockNs);
  const auto at = live_.find(address);
  if (at == live_.end()) return;
  leave(at->second, event, BlockContents(contents, address));
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
void FaultTouches::leave(const Live& live, std::uint32_t last_event, const BlockContents& contents) {
  const Block& block = live.block;
  const std::uint64_t first = page_floor(block.address), end = block.address + block.size;
  auto offset_of = [&](std::uint64_t address) { return std::min(std::max(address, block.address), end) - block.address; };
  auto touched = [&](std::size_t i) { return i < live.pages.size() && live.pages[i] >= Page::read; };
  SiteTouches::Block seen;
  BlockProfile profile{.birth = block.birth, .size = block.size, .kept = block.kept, .last_line = (end - 1) % BlockContents::kLine + 1};
  std::vector<Extent>& zeroes = profile.zeroes;
  for (std::size_t i = 0; i < live.pages.size(); ++i) {
    const std::uint64_t page = first + (i << kPageShift), begin = offset_of(page);
    std::uint64_t stop = offset_of(page + kPageSize);
    SiteTouches::Seen& part = seen[SiteTouches::part_of(begin, block.size)];
    if (live.pages[i] == Page::unknown && stop <= block.kept) continue;
    if (live.pages[i] == Page::unknown) {
      const BlockContents::Page content = contents.like(i);
      Undecided rest{block.birth, block.slot, block.stack, block.size, std::max(begin, block.kept), stop, Use::unknown, block.zeroed};
      // What is the same as before may have been written again just the same: the copy of a text that grows, or what a block of the
      // same site left there.
      const bool again = live.of_same_site[i] || (!content.zero && contents.changed_behind(i));
      const bool told = content.compared && (content.changed() || block.zeroed || !again);
      if (told && (content.cleared || !content.zero)) (content.cleared ? clearing_[block.stack].first : clearing_[block.stack].second) += 1;
      if (told && content.zero && !content.changed() && !block.zeroed) {
        rest.use = Use::zeroes;
        zeroes.push_back({rest.begin, rest.end});
      } else if (told) {
        rest.use = content.changed() ? Use::written : Use::not_written;
        (content.changed() ? part.changed : part.untouched) += 1;
        rest.begin = std::max(rest.begin, offset_of(page + content.begin));
        if (content.changed()) rest.end = stop = offset_of(page + content.end);
        if (rest.begin < rest.end) (!content.changed() ? profile.untouched : live.of_same_site[i] ? profile.changed : profile.written).push_back({rest.begin, rest.end});
      } else {
        // The page of a mapped chunk's header: where the next one is not touched, what is used ends somewhere in this one.
        if (i == 0 && block.mmapped && !touched(1)) rest.end = stop = offset_of(first + kPageSize / 2);
        if (begin < stop) (content.compared && live.of_same_site[i] ? profile.same : profile.unknown).push_back({begin, stop});
        if (content.compared && live.of_same_site[i]) rest.use = Use::same;
      }
      if (rest.begin < rest.end && (rest.use != Use::not_written || block.zeroed)) leave_undecided(rest);
      continue;
    }
    switch (live.pages[i]) {
      case Page::read: part.read_only += 1; break;
      case Page::read_written: part.read_first += 1; break;
      case Page::written: part.written += 1; break;
      default:
        part.untouched += 1;
        profile.untouched.push_back({begin, stop});
    }
  }
  std::erase_if(seen, [](const auto& part) { return part.second.pages() == 0; });
  sites_.learn(block.stack, block.size, seen);

  // Which bytes of a page were touched is known where its contents were compared. Else only of the first access: a run of touched
  // pages is one stretch, from the first access in its first page to the middle of its last; a page alone is one byte. So a layout
  // that puts the block elsewhere on its pages touches as many pages as this one, give or take half a page a run.
  for (const Touch& touch : live.touches) {
    const std::uint64_t page = first + (std::uint64_t{touch.page} << kPageShift), access = offset_of(page + touch.offset);
    const bool before = touch.page > 0 && touched(touch.page - 1), after = touched(touch.page + 1);
    std::uint64_t from = access, to = access + 1;
    const BlockContents::Page content = contents.at(touch.page);
    if (content.changed()) {
      from = std::min(from, offset_of(page + content.begin));
      to = std::max(to, offset_of(page + content.end));
    } else {
      if (before) from = offset_of(page);
      if (after) to = offset_of(page + kPageSize);
      // Nothing but zeroes came there, if it was compared: not far.
      if (before && !after && !(touch.write && content.compared)) to = std::max(to, offset_of(page + kPageSize / 2));
    }
    (touch.write ? profile.written : profile.read).push_back({from, to});
    append({.begin = from, .end = to, .event = event_at(touch.time_ns, block.birth, last_event), .slot = block.slot, .write = touch.write, .ground = Ground::seen});
  }
  if (contents.any()) profiles_.add(block.stack, std::move(profile));
}

void FaultTouches::leave_undecided(const Undecided& rest) {
  if (!undecided_.empty()) {
    Undecided& last = undecided_.back();
    if (last.birth == rest.birth && last.end == rest.begin && last.use == rest.use) {
      last.end = rest.end;
      return;
    }
  }
  undecided_.push_back(rest);
}

void FaultTouches::append(const TimedTouch& touch) {
  if (!out_.empty()) {
    TimedTouch& last = out_.back();
    if (last.event == touch.event && last.slot == touch.slot && last.write == touch.write && last.ground == touch.ground && last.end == touch.begin) {
      last.end = touch.end;
      return;
    }
  }
  out_.push_back(touch);
}

void FaultTouches::decide() {
  profiles_.done();
  for (const Undecided& stretch : undecided_) {
    if (stretch.use == Use::same && profiles_.seldom_written(stretch.stack, stretch.size, stretch.birth, {stretch.begin, stretch.end})) continue;
    if (stretch.use != Use::unknown && stretch.use != Use::same) {
      const Extent all{stretch.begin, stretch.end};
      const bool written = stretch.use == Use::written || (stretch.use == Use::zeroes && clears(stretch.stack));
      if (looked_at(stretch)) append_all(stretch, {&all, 1}, false, Ground::seen);
      if (written) append_all(stretch, {&all, 1}, true, Ground::seen);
    } else if (const BlockProfile* alike = profiles_.of_site(stretch.stack, stretch.size, stretch.birth)) {
      decide_alike(stretch, *alike, Ground::alike);
    } else if (const BlockProfile* of_size = profiles_.of_size(stretch.size, stretch.birth);
               of_size != nullptr && !sites_.usual(stretch.stack, stretch.size, 0).of_site) {
      decide_alike(stretch, *of_size, Ground::guessed);
    } else {
      decide_by_use(stretch);
    }
  }
  undecided_.clear();
}

// Zeroes where zeroes were: written by a site that fills its blocks with them.
bool FaultTouches::clears(trace::StackId site) const {
  const auto at = clearing_.find(site);
  return at != clearing_.end() && at->second.first > at->second.second;
}

// Memory from calloc: who asks for zeroes looks at them, as far as nothing else was seen of the site.
bool FaultTouches::looked_at(const Undecided& stretch) const {
  if (!stretch.zeroed) return false;
  const SiteTouches::Usual usual = sites_.usual(stretch.stack, stretch.size, SiteTouches::part_of(stretch.begin, stretch.size));
  return !usual.order_seen || usual.read_first || usual.read_only;
}

void FaultTouches::append_all(const Undecided& stretch, std::span<const Extent> parts, bool write, Ground ground) {
  for (const Extent& part : parts)
    append({.begin = part.begin, .end = part.end, .event = stretch.birth, .slot = stretch.slot, .write = write, .ground = ground});
}

void FaultTouches::decide_alike(const Undecided& stretch, const BlockProfile& profile, Ground ground) {
  const Extent within{stretch.begin, stretch.end};
  const std::vector<Extent> written = profile.parts_of(profile.written, within, stretch.size);
  append_all(stretch, profile.parts_of(profile.read, within, stretch.size), false, ground);
  if (looked_at(stretch)) append_all(stretch, written, false, ground);
  append_all(stretch, written, true, ground);
  if (clears(stretch.stack)) append_all(stretch, profile.parts_of(profile.zeroes, within, stretch.size), true, ground);
  std::vector<Extent> unknown = profile.parts_of(profile.unknown, within, stretch.size);
  if (stretch.begin < profile.kept) unknown.push_back({stretch.begin, std::min(stretch.end, profile.kept)});
  for (const Extent& part : unknown) {
    Undecided rest = stretch;
    rest.begin = part.begin;
    rest.end = part.end;
    decide_by_use(rest);
  }
}

void FaultTouches::decide_by_use(const Undecided& stretch) {
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
      const bool look = usual.order_seen ? usual.read_first || usual.read_only : stretch.zeroed;
      const Ground ground = usual.of_site ? Ground::usual : Ground::guessed;
      auto add = [&](std::vector<Stretch>& list) {
        if (!list.empty() && list.back().end == at && list.back().ground == ground) list.back().end = next;
        else list.push_back({at, next, ground});
      };
      if (look) add(read);
      if (!usual.seen || !usual.read_only) add(written);
    }
    at = next;
  }
  for (const std::vector<Stretch>* list : {&read, &written})
    for (const Stretch& part : *list)
      out_.push_back({.begin = part.begin, .end = part.end, .event = stretch.birth, .slot = stretch.slot, .write = list == &written, .ground = part.ground});
}

void FaultTouches::finish(Program& program, std::span<const trace::TouchObservation> observations) {
  if (!followed_) return;
  advance(~std::uint64_t{0});
  const auto end = static_cast<std::uint32_t>(program.events.size());
  std::map<std::uint64_t, const trace::TouchObservation*> contents;  // by block
  for (const trace::TouchObservation& seen : observations)
    if (seen.at_exit && !seen.contents.empty()) contents[seen.address] = &seen;
  for (const auto& [address, live] : live_) {
    const auto at = contents.find(address);
    leave(live, end, BlockContents(at == contents.end() ? nullptr : at->second, address));
  }
  live_.clear();
  decide();
  // The sort is stable: what was seen of one block stays in the order it happened.
  std::stable_sort(out_.begin(), out_.end(), [](const TimedTouch& x, const TimedTouch& y) { return x.event < y.event; });
  program.timed_touches = std::move(out_);
  program.timed_blocks = std::move(blocks_);
  program.error_of = {0, profiles_.error(), sites_.error_within(), sites_.error_across()};
}

}  // namespace faultline::replay
