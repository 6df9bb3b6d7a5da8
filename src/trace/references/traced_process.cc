#include "trace/references/traced_process.h"

#include <algorithm>
#include <cstdio>

namespace faultline::trace {
namespace {

constexpr std::uint64_t kStackPages = 2048;  // the default limit of 8 MiB: how far below the stack a touch still grows it

}  // namespace

ReferenceEvent& TracedProcess::emit(ReferenceKind kind) {
  ReferenceEvent& event = world_->events.emplace_back();
  event.kind = kind;
  event.process = number_;
  return event;
}

void TracedProcess::split(std::uint64_t page) {
  auto after = mappings_.upper_bound(page);
  if (after == mappings_.begin()) return;
  const auto at = std::prev(after);
  if (at->first == page || at->second.end <= page) return;
  Mapping right = at->second;
  if (right.file != kNoFile) right.file_page += page - at->first;
  at->second.end = page;
  mappings_.emplace(page, right);
}

void TracedProcess::forget(std::uint64_t page, std::uint64_t end) {
  if (page >= end) return;
  split(page);
  split(end);
  mappings_.erase(mappings_.lower_bound(page), mappings_.lower_bound(end));
  forget_known();
}

void TracedProcess::map(std::uint64_t page, std::uint64_t end, const Mapping& mapping) {
  if (page >= end) return;
  forget(page, end);
  Mapping& stored = mappings_[page] = mapping;
  stored.end = end;
  ReferenceEvent& event = emit(ReferenceKind::map);
  event.page = page;
  event.pages = end - page;
  event.file = mapping.file;
  event.file_page = mapping.file_page;
  event.protection = mapping.protection;
  event.shared = mapping.shared;
}

void TracedProcess::unmap(std::uint64_t page, std::uint64_t end) {
  if (page >= end) return;
  forget(page, end);
  ReferenceEvent& event = emit(ReferenceKind::unmap);
  event.page = page;
  event.pages = end - page;
}

void TracedProcess::protect(std::uint64_t page, std::uint64_t end, std::uint8_t protection) {
  if (page >= end) return;
  split(page);
  split(end);
  for (auto at = mappings_.lower_bound(page); at != mappings_.end() && at->first < end; ++at) at->second.protection = protection;
  forget_known();
  ReferenceEvent& event = emit(ReferenceKind::protect);
  event.page = page;
  event.pages = end - page;
  event.protection = protection;
}

// The mapping around a page that is touched. A page that no call mapped is mapped here: below the stack the stack grew, anywhere else
// the log does not tell what it is, and it is taken as anonymous.
TracedProcess::Range TracedProcess::known_range(std::uint64_t page) {
  auto after = mappings_.upper_bound(page);
  if (after != mappings_.begin()) {
    const auto at = std::prev(after);
    if (page < at->second.end) return {at->first, at->second.end};
  }
  const bool stack = stack_page_ != 0 && page < stack_page_ && stack_page_ - page <= kStackPages;
  if (!stack) ++world_->unseen["pages touched that no call had mapped, taken as anonymous memory"];
  map(page, stack ? stack_page_ : page + 1, Mapping{});
  if (stack) stack_page_ = page;
  return {page, page + 1};
}

void TracedProcess::begin_with_maps(const std::string& maps) {
  // Addresses Valgrind keeps for itself: its own program with what follows it, and everything from 64 GiB on but the client's stack.
  constexpr std::uint64_t kValgrind = 0x58000000, kValgrindEnd = 0x60000000, kHigh = 0x1000000000, kStackTop = 0x1fff000000;
  for (std::size_t at = 0; at < maps.size();) {
    const std::size_t line_end = std::min(maps.find('\n', at), maps.size());
    const std::string line = maps.substr(at, line_end - at);
    at = line_end + 1;
    unsigned long long start = 0, end = 0, offset = 0;
    char bits[5] = {};
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%llx-%llx %4s %llx %*s %*s %n", &start, &end, bits, &offset, &path_at) < 4) continue;
    const std::string path = path_at > 0 && static_cast<std::size_t>(path_at) < line.size() ? line.substr(static_cast<std::size_t>(path_at)) : "";
    const bool stack = start <= kStackTop && kStackTop < end;
    if (!stack && (start >= kHigh || (start >= kValgrind && start < kValgrindEnd))) continue;
    if (path.empty() && std::string(bits) == "rwxp" && end - start == 4096) continue;  // where Valgrind will emulate the break
    Mapping mapping;
    mapping.protection = static_cast<std::uint8_t>((bits[0] == 'r') | (bits[1] == 'w') << 1 | (bits[2] == 'x') << 2);
    mapping.shared = bits[3] == 's';
    if (path.starts_with('/')) {
      mapping.file = world_->files.number(path);
      mapping.file_page = offset >> 12;
    }
    map(start >> 12, end >> 12, mapping);
    if (stack) stack_page_ = start >> 12;
  }
}

void TracedProcess::begin_with_descriptor(int descriptor, const std::string& path, std::uint64_t position) {
  descriptors_.open(descriptor, path.starts_with('/') ? world_->files.number(path) : kNoFile, position);
}

TracedProcess TracedProcess::forked(std::uint32_t number) const {
  TracedProcess child = *this;
  child.number_ = number;
  child.pending_.clear();
  return child;
}

void TracedProcess::end() {
  if (ended_) return;
  emit(ReferenceKind::exit);
  ended_ = true;
  mappings_.clear();
  forget_known();
}

void TracedProcess::begin_image() {
  while (!mappings_.empty()) {  // execve: what lies side by side goes at once
    const auto first = mappings_.begin();
    std::uint64_t end = first->second.end;
    for (auto at = std::next(first); at != mappings_.end() && at->first == end; ++at) end = at->second.end;
    unmap(first->first, end);
  }
  break_ = stack_page_ = 0;
  pending_.clear();
}

}  // namespace faultline::trace
