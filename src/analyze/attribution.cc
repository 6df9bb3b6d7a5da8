#include "analyze/attribution.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "analyze/address_map.h"
#include "analyze/flat_set.h"
#include "base/assert.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

using trace::HeapEvent;
using trace::HeapOp;

// A fault or memory call waits here until its thread's next heap event tells whether it happened inside that call: an
// allocation is ordered by its end, so its own faults come first.
struct PendingFault {
  trace::FaultEvent fault;
  Region region;
  trace::StackId site;
  bool again;  // the page had faulted before
};

struct Bracket {
  std::uint64_t begin_ns = 0, end_ns = 0;
  trace::StackId site = kNoSite;
  bool holds(std::uint64_t time_ns) const { return end_ns > begin_ns && time_ns >= begin_ns && time_ns <= end_ns; }
};

struct Thread {
  Bracket last;
  std::uint64_t last_allocated = 0;  // address, while the allocation is this thread's latest heap event
  std::vector<PendingFault> faults;
  std::vector<trace::MemoryCall> calls;
};

// Slots beside the site ids in the keys of Pass::pages_ (28 bits next to a 36-bit page number).
constexpr std::uint64_t kFirstRegion = 0x0ffffff0;
constexpr std::uint64_t kAnyRegion = 0x0ffffffe;

struct TouchKey {
  std::uint64_t ip;
  std::uint64_t rest;  // site, region, by_allocator
  bool operator==(const TouchKey&) const = default;
};
struct TouchHash {
  std::size_t operator()(const TouchKey& key) const {
    const std::uint64_t mixed = (key.ip ^ (key.rest * 0xff51afd7ed558ccdu)) * 0x9e3779b97f4a7c15u;
    return static_cast<std::size_t>(mixed ^ (mixed >> 32));
  }
};

bool allocates(HeapOp op) {
  return op == HeapOp::malloc || op == HeapOp::calloc || op == HeapOp::realloc || op == HeapOp::memalign || op == HeapOp::pvalloc;
}

std::uint64_t requested(const HeapEvent& event) {
  if (event.op == HeapOp::calloc) return event.a * event.b;
  if (event.op == HeapOp::pvalloc) return page_ceil(event.a);
  return event.a;
}

bool in_main_arena(std::uint8_t flags) {
  return (flags & (trace::kChunkMmapped | trace::kChunkNonMain | trace::kForeignHeader)) == 0;
}

std::vector<trace::MemoryCall> by_end(std::vector<trace::MemoryCall> calls) {
  std::stable_sort(calls.begin(), calls.end(), [](const auto& x, const auto& y) { return x.end_ns < y.end_ns; });
  return calls;
}

bool has_brk(const std::vector<trace::MemoryCall>& calls) {
  return std::any_of(calls.begin(), calls.end(), [](const trace::MemoryCall& call) { return call.kind == trace::CallKind::brk; });
}

class Pass {
 public:
  Pass(trace::Recording& recording, const trace::ProcessInfo& process)
      : recording_(recording), process_(process), modules_(recording.modules(process.pid)), calls_(by_end(recording.calls(process.pid))),
        map_(process, modules_, has_brk(calls_)), thresholds_(process) {
    for (const auto& [start, end] : process.recorder_ranges) recorder_code_.emplace_back(start, end);
    for (const trace::Module& module : modules_) {
      if (module.path.find("/libfaultline-shim") != std::string::npos) recorder_code_.emplace_back(module.start, module.end);
      const bool allocator = module.path == process.allocator || module.path.find("/libc.so") != std::string::npos ||
                             module.path.find("/libc-2") != std::string::npos;
      code_.push_back({module.start, module.end, allocator});
    }
    std::sort(code_.begin(), code_.end(), [](const Code& x, const Code& y) { return x.start < y.start; });
  }

  Attribution run() {
    const std::vector<trace::MemoryCall>& calls = calls_;
    const std::vector<trace::FaultEvent> faults = recording_.faults(process_.pid);
    const auto reader = recording_.heap_events(process_.pid);

    std::size_t call = 0, fault = 0;
    const auto others_until = [&](std::uint64_t time_ns) {
      while (true) {
        const bool has_call = call < calls.size() && calls[call].end_ns <= time_ns;
        const bool has_fault = fault < faults.size() && faults[fault].time_ns <= time_ns;
        if (has_call && (!has_fault || calls[call].end_ns <= faults[fault].time_ns)) take(calls[call++]);
        else if (has_fault) take(faults[fault++]);
        else break;
      }
    };
    HeapEvent event;
    while (reader->next(event)) {
      others_until(event.order_ns());
      take(event);
    }
    others_until(~std::uint64_t{0});
    return finish();
  }

 private:
  struct Code {
    std::uint64_t start, end;
    bool allocator;
  };
  trace::Recording& recording_;
  const trace::ProcessInfo& process_;
  std::vector<trace::Module> modules_;
  std::vector<trace::MemoryCall> calls_;
  std::vector<Code> code_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> recorder_code_;
  AddressMap map_;
  Thresholds thresholds_;
  BlockMap blocks_;
  Attribution result_;
  std::unordered_map<trace::Tid, Thread> threads_;
  trace::Tid current_tid_ = 0;
  Thread* current_ = nullptr;
  std::uint64_t main_live_ = 0;  // chunk bytes of live main-arena blocks
  std::uint64_t highest_break_ = 0;
  std::unordered_map<TouchKey, std::pair<std::uint64_t, std::uint64_t>, TouchHash> touches_;
  std::set<trace::StackId> trim_stacks_;
  FlatCounter pages_;  // (page, site) and (page, region) pairs that faulted

  Thread& thread(trace::Tid tid) {
    if (current_ == nullptr || current_tid_ != tid) {
      current_ = &threads_[tid];  // unordered_map never moves its nodes
      current_tid_ = tid;
    }
    return *current_;
  }

  // The recorder reads unwind tables of libraries: those faults are not the program's, whatever they hit.
  bool recorders_code(std::uint64_t ip) const {
    return std::any_of(recorder_code_.begin(), recorder_code_.end(), [ip](const auto& range) { return ip >= range.first && ip < range.second; });
  }

  // Could malloc itself have executed this? Guards the brackets against clocks that disagree by a few nanoseconds.
  bool allocator_code(std::uint64_t ip) const {
    if (ip >= kKernelAddress) return true;
    auto at = std::upper_bound(code_.begin(), code_.end(), ip, [](std::uint64_t x, const Code& code) { return x < code.start; });
    if (at == code_.begin() || ip >= std::prev(at)->end) return true;  // code nobody told us about
    return std::prev(at)->allocator;
  }

  void count(const trace::FaultEvent& fault, bool again, Region region, trace::StackId site, bool by_allocator) {
    const bool minor = fault.kind == trace::FaultKind::minor;
    const std::uint64_t vpn = fault.address >> kPageShift;
    RegionCounters& row = result_.regions[static_cast<std::size_t>(region)];
    ++(minor ? row.minor_faults : row.major_faults);
    const std::uint64_t region_slot = kFirstRegion + static_cast<std::uint64_t>(region);
    if (pages_.add(vpn << 28 | region_slot) == 0) ++row.distinct_pages;
    if (again) ++row.repeated_faults;
    if (site != kNoSite) {
      FL_ASSERT(site < kFirstRegion);
      SiteCounters& counters = result_.sites.at(site);
      ++(minor ? counters.minor_faults : counters.major_faults);
      if (by_allocator) ++counters.allocator_faults;
      if (region == Region::mmapped_chunk) ++counters.mmapped_faults;
      if (pages_.add(vpn << 28 | site) == 0) ++counters.distinct_pages;
    }
    const std::uint64_t ip = std::min(fault.ip, kKernelAddress);
    const std::uint64_t rest = std::uint64_t{site} << 8 | static_cast<std::uint64_t>(region) << 1 | (by_allocator ? 1 : 0);
    auto& counts = touches_[{ip, rest}];
    ++(minor ? counts.first : counts.second);
  }

  // An allocator's own touch outside any known heap is the header of a new mapping or a new arena.
  static Region own_region(Region region, bool mmapped) {
    if (region != Region::program_mapping && region != Region::unknown) return region;
    return mmapped ? Region::mmapped_chunk : Region::heap_free;
  }

  void take(const trace::FaultEvent& fault) {
    Region region = map_.region(fault.address);
    if (recorders_code(fault.ip) && !(region == Region::heap_free || region == Region::recorder)) region = Region::recorder;
    const bool again = pages_.add(fault.address >> kPageShift << 28 | kAnyRegion) != 0;
    if (region == Region::recorder) return count(fault, again, region, kNoSite, false);
    trace::StackId site = kNoSite;
    if (const Block* block = blocks_.containing(fault.address)) {
      region = (block->flags & trace::kChunkMmapped) != 0 ? Region::mmapped_chunk : Region::heap_block;
      site = block->site;
    }
    Thread& owner = thread(fault.tid);
    if (owner.last.holds(fault.time_ns) && allocator_code(fault.ip)) {
      return count(fault, again, own_region(region, false), owner.last.site, true);
    }
    owner.faults.push_back({fault, region, site, again});
  }

  void take(const trace::MemoryCall& call) {
    const std::uint64_t before = map_.heap_end();
    map_.apply(call);
    const auto kind = static_cast<std::size_t>(call.kind);
    if (!trace::is_malloc_call(call.kind)) return;  // not for the allocator, and not counted
    CallCounters& counters = result_.calls;
    ++counters.count[kind];
    trace::MemoryCall moved = call;
    moved.args[5] = before;  // unused by these calls: where the break was
    if (call.kind == trace::CallKind::brk && call.result >= 0 && before != 0) {
      const std::uint64_t now = map_.heap_end();
      if (now > before) {
        counters.brk_grown_bytes += now - before;
        if (before < highest_break_) counters.brk_regrown_bytes += std::min(now, highest_break_) - before;
      } else if (now < before) {
        ++counters.brk_shrinks;
        counters.brk_shrunk_bytes += before - now;
      }
    }
    highest_break_ = std::max(highest_break_, map_.heap_end());
    if (call.kind == trace::CallKind::munmap && call.result >= 0) counters.unmapped_bytes += page_ceil(call.args[1]);
    Thread& owner = thread(call.tid);
    if (owner.last.holds(call.begin_ns)) count_for(owner.last.site, moved);
    else owner.calls.push_back(moved);
  }

  void count_for(trace::StackId site, const trace::MemoryCall& call) {
    const auto kind = static_cast<std::size_t>(call.kind);
    ++result_.calls.by_malloc[kind];
    if (site == kNoSite) return;
    SiteCounters& row = result_.sites.at(site);
    ++row.memory_calls[kind];
    if (call.result < 0) return;
    if (call.kind == trace::CallKind::munmap) row.unmapped_bytes += page_ceil(call.args[1]);
    if (call.kind == trace::CallKind::madvise) row.advised_bytes += page_ceil(call.args[1]);
    if (call.kind == trace::CallKind::brk) {
      const auto now = static_cast<std::uint64_t>(call.result);
      const std::uint64_t before = call.args[5];
      if (now > before) row.brk_grown_bytes += now - before;
      if (now < before) {
        row.brk_shrunk_bytes += before - now;
        ++row.brk_shrinks;
      }
    }
  }

  void release(std::uint64_t address, std::uint64_t time_ns, bool by_free, bool temporary, trace::StackId* site) {
    Block block;
    if (!blocks_.erase(address, &block)) {
      ++result_.unknown_frees;
      return;
    }
    if (site != nullptr) *site = block.site;
    result_.sites.freed(block.site, block.bytes);
    SiteCounters& row = result_.sites.at(block.site);
    row.lifetime_ns += time_ns > block.alloc_ns ? time_ns - block.alloc_ns : 0;
    if (temporary) ++row.temporary;
    if ((block.flags & trace::kChunkMmapped) != 0) {
      ++row.mmapped_frees;
      if (by_free) thresholds_.freed_mmapped(block.bytes);
    }
    if (in_main_arena(block.flags)) main_live_ -= chunk_bytes(block.bytes);
  }

  void allocate(const HeapEvent& event) {
    if (event.result % 8 != 0) return;  // no allocator returns this: damaged input
    const Block block{event.result, requested(event), event.end_ns, event.stack, event.flags};
    Block lost;
    if (blocks_.insert(block, &lost)) {
      ++result_.lost_frees;
      result_.sites.freed(lost.site, lost.bytes);
      if (in_main_arena(lost.flags)) main_live_ -= chunk_bytes(lost.bytes);
    }
    ++result_.allocations;
    result_.sites.allocated(event.stack, block.bytes);
    if ((event.flags & trace::kForeignHeader) != 0) {
      ++result_.foreign_blocks;
    } else if ((event.flags & trace::kChunkMmapped) != 0) {
      SiteCounters& row = result_.sites.at(event.stack);
      ++row.mmapped_calls;
      row.mmapped_bytes += block.bytes;
    } else if ((event.flags & trace::kChunkNonMain) != 0) {
      map_.note_thread_arena(event.result);
    } else {
      main_live_ += chunk_bytes(block.bytes);
      map_.note_main_block(event.result - 16 + chunk_bytes(block.bytes));
    }
  }

  void settle(Thread& owner, const HeapEvent& event, const Bracket& bracket) {
    const bool mmapped = (event.flags & trace::kChunkMmapped) != 0;
    const bool fresh = allocates(event.op) && event.result != 0;
    for (const PendingFault& pending : owner.faults) {
      const trace::FaultEvent& fault = pending.fault;
      const bool in_block = fresh && fault.address >= event.result && fault.address - event.result < std::max<std::uint64_t>(requested(event), 1);
      const Region block_region = mmapped ? Region::mmapped_chunk : Region::heap_block;
      if (!bracket.holds(fault.time_ns)) {
        count(fault, pending.again, pending.region, pending.site, false);
      } else if (!allocator_code(fault.ip)) {
        // The program's own code cannot run inside malloc: the clocks are a little apart and this came just after.
        count(fault, pending.again, in_block ? block_region : pending.region, in_block ? event.stack : pending.site, false);
      } else {
        const bool header = fresh && mmapped && fault.address >> kPageShift == (event.result - 16) >> kPageShift;
        const Region region = in_block || header ? block_region : own_region(pending.region, mmapped);
        count(fault, pending.again, region, bracket.site, true);
      }
    }
    owner.faults.clear();
    for (const trace::MemoryCall& call : owner.calls) {
      if (bracket.holds(call.begin_ns)) count_for(bracket.site, call);
    }
    owner.calls.clear();
  }

  void take(const HeapEvent& event) {
    ++result_.heap_events;
    if (event.op == HeapOp::mallopt && event.result != 0) {
      thresholds_.mallopt(static_cast<std::int64_t>(event.a), static_cast<std::int64_t>(event.b));
      add_call(result_.mallopts, {static_cast<int>(event.a), static_cast<int>(event.b), 1});
    }
    if (event.op == HeapOp::malloc_trim) {
      ++result_.trims.calls;
      trim_stacks_.insert(event.stack);
    }
    Thread& owner = thread(event.tid);
    Bracket bracket{event.begin_ns, event.end_ns, event.stack};
    if (event.op == HeapOp::free) {
      ++result_.frees;
      release(event.b, event.begin_ns, true, owner.last_allocated == event.b && event.b != 0, &bracket.site);
    } else if (event.op == HeapOp::realloc && event.b != 0 && (event.result != 0 || event.a == 0)) {
      release(event.b, event.end_ns, event.a == 0, false, nullptr);
    }
    const bool allocated = allocates(event.op) && event.result != 0;
    if (allocated) allocate(event);
    else if (allocates(event.op) && !(event.op == HeapOp::realloc && event.a == 0)) ++result_.failed;
    result_.sites.end_of_event(event.order_ns());
    if (!owner.faults.empty() || !owner.calls.empty()) settle(owner, event, bracket);
    owner.last = bracket;
    owner.last_allocated = allocated ? event.result : 0;

    const HeapMoment now{event.order_ns(), map_.heap_end() - map_.heap_start(), main_live_};
    const auto unused = [](const HeapMoment& moment) { return moment.heap_bytes - std::min(moment.heap_bytes, moment.live_chunk_bytes); };
    if (now.heap_bytes > result_.peak.heap_bytes ||
        (now.heap_bytes == result_.peak.heap_bytes && now.live_chunk_bytes > result_.peak.live_chunk_bytes)) {
      result_.peak = now;
    }
    if (unused(now) > unused(result_.most_free)) result_.most_free = now;
    result_.end = now;
  }

  Attribution finish() {
    for (auto& [tid, owner] : threads_) {
      for (const PendingFault& pending : owner.faults) count(pending.fault, pending.again, pending.region, pending.site, false);
    }
    for (const trace::StackId stack : trim_stacks_) {  // no stack of an allocation ends there too
      const SiteCounters& row = result_.sites.at(stack);
      result_.trims.advice_calls += row.memory_calls[static_cast<std::size_t>(trace::CallKind::madvise)];
      result_.trims.advised_bytes += row.advised_bytes;
      result_.trims.break_bytes += row.brk_shrunk_bytes;
    }
    result_.sites.finish();
    result_.threads = threads_.size();
    result_.live = blocks_.sorted();
    result_.heap_start = map_.heap_start();
    result_.end.heap_bytes = map_.heap_end() - map_.heap_start();
    result_.end.live_chunk_bytes = main_live_;
    result_.thresholds = thresholds_.state();
    result_.touches.reserve(touches_.size());
    for (const auto& [key, counts] : touches_) {
      result_.touches.push_back({static_cast<trace::StackId>(key.rest >> 8), static_cast<Region>((key.rest >> 1) & 15),
                                 (key.rest & 1) != 0, key.ip, counts.first, counts.second});
    }
    std::sort(result_.touches.begin(), result_.touches.end(), [](const TouchRow& x, const TouchRow& y) {
      const auto key = [](const TouchRow& row) { return std::tuple(row.site, row.region, row.by_allocator, row.ip); };
      return key(x) < key(y);
    });
    return std::move(result_);
  }
};

}  // namespace

Attribution attribute(trace::Recording& recording, const trace::ProcessInfo& process) { return Pass(recording, process).run(); }

}  // namespace faultline::analyze
