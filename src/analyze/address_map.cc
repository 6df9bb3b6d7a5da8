#include "analyze/address_map.h"

#include <algorithm>
#include <charconv>

#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kArenaHeap = std::uint64_t{64} << 20;  // glibc HEAP_MAX_SIZE, also its alignment
constexpr std::uint64_t kStackRoom = std::uint64_t{8} << 20;   // the usual RLIMIT_STACK: how far the stack may grow

// mmap(2) flags and mremap(2)'s, as in the x86-64 ABI (no Linux header: a recording is read anywhere).
constexpr std::uint64_t kMapAnonymous = 0x20;
constexpr std::uint64_t kMapStack = 0x20000;
constexpr std::uint64_t kMremapDontUnmap = 4;

bool hex(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return error == std::errc{} && end == text.data() + text.size();
}

Region of_maps_name(std::string_view name) {
  if (name.empty() || name.starts_with("[anon")) return Region::program_mapping;
  if (name == "[stack]") return Region::stack;
  return Region::module;  // before main() every file mapping is the loader's; [vdso] and [vvar] too
}

}  // namespace

AddressMap::AddressMap(const trace::ProcessInfo& process, std::span<const trace::Module> modules, bool brk_recorded)
    : brk_recorded_(brk_recorded) {
  read_maps(process.start_maps);
  for (const trace::Module& module : modules) modules_[module.start] = std::max(modules_[module.start], module.end);
  auto ranges = process.recorder_ranges;  // of which some lie within others: a reservation, and what was mapped there
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t last = 0, last_end = 0;
  for (const auto& [start, end] : ranges) {
    if (start > last_end || recorder_.empty()) last = start;
    last_end = recorder_[last] = std::max(recorder_[last], end);
  }
  heap_start_ = heap_end_ = process.initial_brk;
}

void AddressMap::read_maps(std::string_view text) {
  std::uint64_t module_end = 0;  // anonymous memory right behind a module is its bss
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    // start-end perms offset dev inode [name]
    const std::size_t dash = line.find('-'), space = line.find(' ');
    std::uint64_t start = 0, end = 0;
    if (dash == line.npos || space == line.npos || dash > space) continue;
    if (!hex(line.substr(0, dash), start) || !hex(line.substr(dash + 1, space - dash - 1), end) || start >= end) continue;
    std::string_view rest = line;
    for (int field = 0; field < 5 && !rest.empty(); ++field) {
      rest.remove_prefix(std::min(rest.find(' '), rest.size()));
      rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    }
    if (rest == "[heap]") continue;  // brk's own range is followed call by call
    Region region = of_maps_name(rest);
    if (rest.empty() && start == module_end) region = Region::module;
    module_end = region == Region::module && !rest.empty() ? end : 0;
    set(start, end, region);
    if (region == Region::stack) {
      stack_end_ = end;
      stack_low_ = end > kStackRoom ? end - kStackRoom : 0;
    }
  }
}

void AddressMap::erase(std::uint64_t start, std::uint64_t end) {
  if (start >= end) return;
  auto at = mappings_.lower_bound(start);
  if (at != mappings_.begin()) {
    auto before = std::prev(at);
    const Mapping old = before->second;
    if (old.end > start) {
      before->second.end = start;
      if (old.end > end) mappings_[end] = old;
    }
  }
  while (at != mappings_.end() && at->first < end) {
    const Mapping old = at->second;
    at = mappings_.erase(at);
    if (old.end > end) mappings_[end] = old;
  }
}

void AddressMap::set(std::uint64_t start, std::uint64_t end, Region region) {
  if (start >= end) return;
  erase(start, end);
  mappings_[start] = {end, region};
}

void AddressMap::apply(const trace::MemoryCall& call) {
  if (call.result < 0) return;
  const auto result = static_cast<std::uint64_t>(call.result);
  switch (call.kind) {
    case trace::CallKind::brk:
      if (heap_start_ == 0) heap_start_ = result;
      heap_end_ = result;
      break;
    case trace::CallKind::mmap: {
      const std::uint64_t end = page_ceil(result + call.args[1]);
      if ((call.args[3] & kMapAnonymous) == 0) {
        set(result, end, Region::file_mapping);
      } else {
        set(result, end, (call.args[3] & kMapStack) != 0 ? Region::thread_stack : Region::program_mapping);
      }
      break;
    }
    case trace::CallKind::munmap: {
      const std::uint64_t start = call.args[0], end = page_ceil(start + call.args[1]);
      erase(start, end);
      for (auto at = arenas_.lower_bound(start); at != arenas_.end() && at->second <= end;) at = arenas_.erase(at);
      break;
    }
    case trace::CallKind::mremap: {
      const std::uint64_t start = call.args[0], old_end = page_ceil(start + call.args[1]);
      const Region old = region(start);
      if ((call.args[3] & kMremapDontUnmap) == 0) erase(start, old_end);
      set(result, page_ceil(result + call.args[2]), old == Region::unknown ? Region::program_mapping : old);
      break;
    }
    default:  // changes no mapping's place (shmat does, but does not tell its size)
      break;
  }
}

void AddressMap::note_thread_arena(std::uint64_t address) {
  const std::uint64_t start = address & ~(kArenaHeap - 1);
  arenas_.try_emplace(start, start + kArenaHeap);
}

void AddressMap::note_main_block(std::uint64_t chunk_end) {
  if (!brk_recorded_ && chunk_end > heap_end_) heap_end_ = page_ceil(chunk_end);
}

Region AddressMap::region(std::uint64_t address) const {
  const auto within = [address](const std::map<std::uint64_t, std::uint64_t>& ranges) {
    auto at = ranges.upper_bound(address);
    return at != ranges.begin() && address < std::prev(at)->second;
  };
  if (within(recorder_)) return Region::recorder;
  if (in_main_heap(address) || within(arenas_)) return Region::heap_free;
  if (auto at = mappings_.upper_bound(address); at != mappings_.begin() && address < std::prev(at)->second.end) {
    const Region found = std::prev(at)->second.region;
    // The loader's own mmap calls for a library (dlopen) are seen as calls; the module list says what they were.
    const bool of_library = found == Region::file_mapping || found == Region::program_mapping;
    return of_library && within(modules_) ? Region::module : found;
  }
  if (within(modules_)) return Region::module;
  if (address >= stack_low_ && address < stack_end_) return Region::stack;
  return Region::unknown;
}

}  // namespace faultline::analyze
