#include "replay/touch_model.h"

#include <algorithm>
#include <bit>

namespace faultline::replay {
namespace {

constexpr std::uint64_t kMadvDontNeed = 4;  // MADV_DONTNEED of madvise(2)

unsigned size_class(std::uint64_t bytes) { return static_cast<unsigned>(std::bit_width(bytes)); }

// Appends [begin, end), joining it with the extent before.
void append(std::vector<Extent>& list, std::uint64_t begin, std::uint64_t end) {
  if (begin >= end) return;
  if (!list.empty() && list.back().end >= begin) {
    list.back().end = std::max(list.back().end, end);
  } else {
    list.push_back({begin, end});
  }
}

// The parts of `extent` that `known` (ascending) does not cover.
void append_outside(std::vector<Extent>& list, const Extent& extent, std::span<const Extent> known) {
  std::uint64_t at = extent.begin;
  for (const Extent& part : known) {
    if (part.end <= at) continue;
    append(list, at, std::min(extent.end, part.begin));
    at = std::max(at, part.end);
  }
  append(list, at, extent.end);
}

// The part of [start, end) that lies in the block, as block offsets.
void append_pages(std::vector<Extent>& list, const TouchModel::Block& block, std::uint64_t start, std::uint64_t end) {
  const std::uint64_t block_end = block.address + block.size;
  start = std::max(start, block.address);
  end = std::min(end, block_end);
  if (start < end) append(list, start - block.address, end - block.address);
}

}  // namespace

ExitResidency::ExitResidency(std::span<const trace::TouchObservation> observations, std::span<const trace::MemoryCall> calls,
                             bool calls_exact, std::uint64_t initial_brk)
    : releases_known_(calls_exact) {
  for (const trace::TouchObservation& seen : observations) {
    if (!seen.at_exit) continue;
    std::uint64_t at = seen.address;
    bool resident = true;
    for (std::uint32_t pages : seen.runs) {
      const std::uint64_t end = at + pages * kPageSize;
      if (pages) runs_.push_back({at, end, resident});
      at = end;
      resident = !resident;
    }
  }
  std::sort(runs_.begin(), runs_.end(), [](const Run& x, const Run& y) { return x.start < y.start; });
  if (!calls_exact) return;
  std::uint64_t brk = initial_brk;
  for (const trace::MemoryCall& call : calls) {
    if (call.result < 0 && call.result > -4096) continue;
    if (call.kind == trace::CallKind::brk) {
      const auto now = static_cast<std::uint64_t>(call.result);
      if (now < brk) releases_.push_back({page_ceil(now), page_ceil(brk), call.end_ns});
      brk = now;
    } else if (call.kind == trace::CallKind::munmap || (call.kind == trace::CallKind::madvise && call.args[2] == kMadvDontNeed)) {
      releases_.push_back({page_floor(call.args[0]), page_ceil(call.args[0] + call.args[1]), call.end_ns});
    }
  }
  // Only the latest release of a page counts. Walking back in time, a release adds what no later one covers; keeping
  // just those whose range is not inside a later one keeps the list short for a program that trims in a loop.
  std::vector<Release> kept;
  for (auto release = releases_.rbegin(); release != releases_.rend(); ++release) {
    const bool covered = std::any_of(kept.begin(), kept.end(), [&](const Release& later) {
      return later.start <= release->start && release->end <= later.end;
    });
    if (!covered) kept.push_back(*release);
    if (kept.size() > 4096) {  // fragmented beyond use: say nothing rather than something wrong
      releases_known_ = false;
      break;
    }
  }
  releases_ = std::move(kept);
}

std::uint64_t ExitResidency::resident_pages(std::uint64_t start, std::uint64_t end) const {
  std::uint64_t pages = 0;
  auto run = std::partition_point(runs_.begin(), runs_.end(), [&](const Run& r) { return r.end <= start; });
  for (; run != runs_.end() && run->start < end; ++run) {
    if (run->resident) pages += (std::min(end, run->end) - std::max(start, run->start)) >> kPageShift;
  }
  return pages;
}

std::uint64_t ExitResidency::untouched_since(std::uint64_t page) const {
  if (!releases_known_) return ~std::uint64_t{0};
  for (const Release& release : releases_)  // latest first
    if (release.start <= page && page < release.end) return release.time_ns;
  return 0;
}

std::uint32_t TouchModel::note_known(std::vector<Extent> known) {
  std::uint64_t bytes = 0;
  for (const Extent& part : known) bytes += part.end - part.begin;
  if (bytes <= 2 * kPageSize) return kNoSlot;  // the pages at its two ends, shared with its neighbours
  known_.push_back(std::move(known));
  return static_cast<std::uint32_t>(known_.size() - 1);
}

std::vector<Extent> TouchModel::died(const Block& block, const trace::TouchObservation* observation) {
  if (observation == nullptr) {
    if (block.size >= kPageSize) open_.push_back(block);  // smaller than a page: written whole
    return {{0, block.size}};
  }
  std::vector<Extent> resident;
  std::uint64_t at = observation->address;
  append_pages(resident, block, page_floor(block.address), at);  // not looked at: assumed touched
  bool is_resident = true;
  for (std::uint32_t pages : observation->runs) {
    const std::uint64_t end = at + pages * kPageSize;
    if (is_resident) append_pages(resident, block, at, end);
    at = end;
    is_resident = !is_resident;
  }
  append_pages(resident, block, at, block.address + block.size);
  learn(block, resident);
  if (block.known == kNoSlot) {
    decide(block, resident);
  } else {
    ambiguous_.push_back({block, resident});
  }
  return resident;
}

void TouchModel::alive_at_end(const Block& block, const ExitResidency& residency) {
  if (block.size < kPageSize) return;
  const std::uint64_t end = block.address + block.size;
  const auto& runs = residency.runs();
  auto run = std::partition_point(runs.begin(), runs.end(), [&](const ExitResidency::Run& r) { return r.end <= block.address; });
  if (run == runs.end() || run->start >= end) {
    open_.push_back(block);
    return;
  }
  std::vector<Extent> touched;
  std::uint64_t at = block.address;
  for (; run != runs.end() && run->start < end; ++run) {
    append_pages(touched, block, at, run->start);  // a gap between observations: assumed touched
    if (run->resident) append_pages(touched, block, run->start, run->end);
    at = run->end;
  }
  append_pages(touched, block, at, end);
  if (block.size >= kObservedBytes) learn(block, touched);
  if (block.known == kNoSlot) {
    decide(block, touched);
  } else {
    ambiguous_.push_back({block, std::move(touched)});
  }
}

// Only pages that were not resident before the block was born can be learned from.
void TouchModel::learn(const Block& block, std::span<const Extent> touched) {
  auto length = [](std::span<const Extent> list) {
    std::uint64_t sum = 0;
    for (const Extent& extent : list) sum += extent.end - extent.begin;
    return sum;
  };
  std::uint64_t fresh = block.size, used = length(touched);
  if (block.known != kNoSlot) {
    fresh -= length(known_[block.known]);
    std::vector<Extent> outside;
    for (const Extent& extent : touched) append_outside(outside, extent, known_[block.known]);
    used = length(outside);
  }
  if (fresh < kPageSize) return;
  for (Learned* learned : {&by_site_[{block.stack, size_class(block.size)}], &by_size_[block.size]}) {
    learned->bytes += fresh;
    learned->touched += used;
  }
}

std::optional<std::uint64_t> TouchModel::learned_bytes(const Block& block) const {
  auto usual = [&](const Learned& learned) -> std::optional<std::uint64_t> {
    if (learned.bytes < block.size) return std::nullopt;  // less than one block's worth was seen
    return static_cast<std::uint64_t>(static_cast<double>(learned.touched) / static_cast<double>(learned.bytes) * static_cast<double>(block.size));
  };
  if (const auto site = by_site_.find({block.stack, size_class(block.size)}); site != by_site_.end()) {
    if (const auto bytes = usual(site->second)) return bytes;
  }
  const auto size = by_size_.find(block.size);
  return size == by_size_.end() ? std::nullopt : usual(size->second);
}

// What was not resident before and is now, the block touched. What was resident before counts up to what its site
// touches where that can be seen; a what-if that gives the block fresh pages must not touch more than the program does.
void TouchModel::settle(const Ambiguous& ambiguous) {
  const Block& block = ambiguous.block;
  const std::uint64_t usual = learned_bytes(block).value_or(block.size);
  std::vector<Extent> touched;
  for (const Extent& extent : ambiguous.resident) {
    append(touched, extent.begin, std::min(extent.end, std::max(extent.begin, usual)));
    append_outside(touched, {std::max(extent.begin, usual), extent.end}, known_[block.known]);
  }
  decide(block, touched);
}

void TouchModel::decide(const Block& block, std::span<const Extent> touched) {
  if (block.kept == 0 && touched.size() == 1 && touched[0] == Extent{0, block.size}) return;  // the default
  // After realloc the default is the grown part; the observation covers what was kept as well, and touching a page that
  // is resident changes nothing, so the whole observation stands.
  decided_.push_back({block.event, static_cast<std::uint32_t>(pool_.size()), static_cast<std::uint32_t>(touched.size())});
  pool_.insert(pool_.end(), touched.begin(), touched.end());
}

void TouchModel::finish(Program& program, const ExitResidency& residency) {
  std::vector<Extent> touched;
  for (const Block& block : open_) {
    touched.clear();
    std::uint64_t end = block.size;
    if (block.size >= kObservedBytes) {
      if (const auto usual = learned_bytes(block)) {
        end = *usual;
      } else if (block.zeroed) {
        end = 0;
      }
    }
    append(touched, std::min(block.kept, end), end);
    // Pages the exit residency shows untouched since before the block was born were not touched through it.
    if (!block.mmapped && !residency.empty()) {
      const auto& runs = residency.runs();
      std::vector<Extent> rest;
      std::uint64_t at = touched.empty() ? end : touched.front().begin;
      auto run = std::partition_point(runs.begin(), runs.end(),
                                      [&](const ExitResidency::Run& r) { return r.end <= block.address; });
      for (; run != runs.end() && run->start < block.address + end; ++run) {
        if (run->resident) continue;
        for (std::uint64_t page = std::max(run->start, page_floor(block.address)); page < std::min(run->end, block.address + end);
             page += kPageSize) {
          if (residency.untouched_since(page) > block.birth_ns) continue;
          const std::uint64_t hole = page <= block.address ? 0 : page - block.address;
          if (hole > at) append(rest, at, hole);
          at = std::max(at, std::min(end, page + kPageSize - block.address));
        }
      }
      if (at < end) append(rest, at, end);
      touched = std::move(rest);
    }
    const bool nothing_grown = block.kept >= block.size && touched.empty();
    if (nothing_grown || (touched.size() == 1 && touched[0] == Extent{block.kept, block.size})) continue;  // the default
    decided_.push_back({block.event, static_cast<std::uint32_t>(pool_.size()), static_cast<std::uint32_t>(touched.size())});
    pool_.insert(pool_.end(), touched.begin(), touched.end());
  }
  open_.clear();
  for (const Ambiguous& ambiguous : ambiguous_) settle(ambiguous);
  ambiguous_.clear();

  std::sort(decided_.begin(), decided_.end(), [](const Decided& x, const Decided& y) { return x.event < y.event; });
  for (const Decided& decided : decided_) {
    program.events[decided.event].flags |= kPartial;
    program.extents.insert(program.extents.end(), pool_.begin() + decided.first, pool_.begin() + decided.first + decided.count);
    program.touch_offsets.push_back(static_cast<std::uint32_t>(program.extents.size()));
  }
}

}  // namespace faultline::replay
