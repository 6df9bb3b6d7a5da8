#include "live/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "live/arenas.h"

namespace faultline::live {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

std::string short_path(std::string_view path) {
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return std::string(path.substr(path.rfind('/') + 1));
}

const char* part_of_file(const Mapping& mapping) {
  if (mapping.executable()) return "text";
  if (mapping.writable()) return mapping.shared() ? "shared, written" : "data";
  if (mapping.inaccessible()) return "reserved";
  return "read-only";
}

bool guard_of(const Mapping& guard, const Mapping& stack) {
  return guard.inaccessible() && guard.anonymous() && guard.end == stack.start && guard.size_bytes() < stack.size_bytes();
}

class Layout {
 public:
  Layout(std::vector<Mapping> mappings, const LayoutFacts& facts) : facts_(facts) {
    for (const Mapping& mapping : mappings) {
      if (mapping.file() && mapping.executable()) with_code_.insert(mapping.path);
    }
    for (Mapping& mapping : mappings) places_.push_back({std::move(mapping), Kind::anonymous, {}, 0, 0});
  }

  std::vector<Place> run() {
    for (std::size_t i = 0; i < places_.size(); ++i) describe(i);
    for (const Thread& thread : facts_.threads) find_stack(thread);
    name_arenas();
    return std::move(places_);
  }

 private:
  const LayoutFacts& facts_;
  std::map<std::string, std::uint64_t> first_;  // a file's mapping of its beginning, the latest
  std::set<std::string> with_code_;
  std::vector<Place> places_;

  void set(std::size_t i, Kind kind, std::string label) {
    places_[i].kind = kind;
    places_[i].label = std::move(label);
  }

  void describe(std::size_t i) {
    const Mapping& mapping = places_[i].mapping;
    const std::string& path = mapping.path;
    if (path == "[heap]") return set(i, Kind::heap, "heap");
    if (path == "[stack]") return set(i, Kind::stack, "stack");
    if (path.starts_with("[v")) return set(i, Kind::kernel, path.substr(1, path.size() - 2));
    if (path.starts_with("/memfd:") || path.starts_with("/SYSV") || path.starts_with("/dev/zero") || path.starts_with("/dev/shm/") || path.starts_with("[anon_shmem")) {
      if (path.starts_with("/dev/zero")) return set(i, Kind::shared, "shared anonymous");
      return set(i, Kind::shared, fmt::format("shared memory {}", short_path(path)));
    }
    if (mapping.file()) {
      note_beginning(mapping);
      const Kind kind = path == facts_.executable ? Kind::program : with_code_.contains(path) ? Kind::library : Kind::file;
      return set(i, kind, kind == Kind::file ? short_path(path) : fmt::format("{}: {}", short_path(path), part_of_file(mapping)));
    }
    if (mapping.inaccessible()) return set(i, Kind::reserved, "reserved");
    if (path.starts_with("[anon:")) return set(i, Kind::anonymous, path.substr(6, path.size() - 7));
    if (!path.empty()) return set(i, Kind::anonymous, path);
    if (is_bss(i)) return set(i, places_[i - 1].kind, fmt::format("{}: bss", short_path(places_[i - 1].mapping.path)));
    set(i, Kind::anonymous, mapping.shared() ? "shared anonymous" : "anonymous");
  }

  // Of a small file, data may have the offset 0 as well; a file may be mapped twice.
  void note_beginning(const Mapping& mapping) {
    if (mapping.offset != 0 || !facts_.image_bytes) return;
    const auto known = first_.find(mapping.path);
    if (known != first_.end()) {
      const auto bytes = facts_.image_bytes(mapping.path);
      if (!bytes || mapping.start < known->second + *bytes) return;
    }
    first_[mapping.path] = mapping.start;
  }

  // It follows an object's data directly, and ends within the object: other anonymous memory may lie right behind, merged with the bss or
  // in place of one.
  bool is_bss(std::size_t i) const {
    const Mapping& mapping = places_[i].mapping;
    if (i == 0 || !mapping.writable() || mapping.shared() || !facts_.image_bytes) return false;
    const Place& before = places_[i - 1];
    if (before.mapping.end != mapping.start || !before.mapping.file() || (before.kind != Kind::program && before.kind != Kind::library)) return false;
    const auto first = first_.find(before.mapping.path);
    const auto bytes = facts_.image_bytes(before.mapping.path);
    return first != first_.end() && bytes && mapping.end <= first->second + *bytes;
  }

  void find_stack(const Thread& thread) {
    auto at = std::upper_bound(places_.begin(), places_.end(), thread.stack_pointer, [](std::uint64_t address, const Place& place) { return address < place.mapping.end; });
    if (thread.stack_pointer == 0 || at == places_.end() || thread.stack_pointer < at->mapping.start || at->kind != Kind::anonymous || !at->mapping.writable()) return;
    const auto i = static_cast<std::size_t>(at - places_.begin());
    // Stacks of equal rights that lie side by side without a guard are one mapping: then the first thread found gives the name.
    set(i, Kind::thread_stack, fmt::format("stack of thread {} ({})", thread.tid, thread.name));
    at->thread = thread.tid;
    if (i > 0 && guard_of(places_[i - 1].mapping, at->mapping)) set(i - 1, Kind::reserved, "guard of the next");
  }

  void name_arenas() {
    std::map<std::uint64_t, int> numbers;
    int unknown = 0;
    for (const Heap& heap : facts_.heaps) {
      const int number = heap.arena != 0 ? numbers.try_emplace(heap.arena, static_cast<int>(numbers.size()) + 1).first->second : --unknown;
      for (Place& place : places_) {
        if (place.mapping.end <= heap.address || place.mapping.start >= heap.address + kHeapMax) continue;
        if (!place.mapping.anonymous() || place.kind == Kind::thread_stack) continue;
        place.arena = number;
      }
    }
    for (Place& place : places_) {
      if (place.arena == 0) continue;
      if (place.arena < 0) place.arena = static_cast<int>(numbers.size()) - place.arena;
      place.kind = place.mapping.inaccessible() ? Kind::reserved : Kind::arena;
      place.label = fmt::format("arena {}{}", place.arena, place.mapping.inaccessible() ? ": reserved" : "");
    }
  }
};

}  // namespace

const char* kind_key(Kind kind) {
  static constexpr const char* kKeys[kKindCount] = {"program", "library", "heap", "arena", "stack", "thread_stack", "file", "shared", "anonymous", "reserved", "kernel"};
  return kKeys[static_cast<std::size_t>(kind)];
}

const char* kind_title(Kind kind) {
  static constexpr const char* kTitles[kKindCount] = {"program",       "libraries",    "heap (brk)",    "malloc's thread arenas", "stack", "stacks of threads",
                                                      "mapped files", "shared memory", "anonymous", "reserved",               "vdso"};
  return kTitles[static_cast<std::size_t>(kind)];
}

std::vector<Place> lay_out(std::vector<Mapping> mappings, const LayoutFacts& facts) {
  return Layout(std::move(mappings), facts).run();
}

}  // namespace faultline::live
