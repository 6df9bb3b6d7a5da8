#include "replay/follow/maps_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace faultline::replay {
namespace {

std::string rights_of(const mm::Vma& vma) {
  std::string text = "---p";
  if (vma.flags & mm::kVmRead) text[0] = 'r';
  if (vma.flags & mm::kVmWrite) text[1] = 'w';
  if (vma.flags & mm::kVmExec) text[2] = 'x';
  if (vma.flags & mm::kVmMayShare) text[3] = 's';
  return text;
}

std::uint64_t resident_bytes(const mm::AddressSpace& space, const mm::Vma& vma) {
  if (vma.flags & mm::kVmPfnMap) return 0;  // [vvar]: frames without a struct page are not counted (vm_normal_page())
  std::uint64_t pages = 0;
  space.page_table().for_each(vma.start, vma.end, [&](std::uint64_t, const mm::Pte& pte) { pages += pte.maps_frame() ? 1 : 0; });
  return pages * kPageSize;
}

std::string text_of(const mm::Vma& vma) { return fmt::format("{:x}-{:x} {}", vma.start, vma.end, rights_of(vma)); }
std::string text_of(const Mapping& mapping) { return fmt::format("{:x}-{:x} {}", mapping.start, mapping.end, mapping.permissions); }

}  // namespace

MapsCheck check_maps(const mm::AddressSpace& space, std::span<const Mapping> recorded,
                     std::span<const std::pair<std::uint64_t, std::uint64_t>> recorder_ranges) {
  MapsCheck check;
  std::vector<const mm::Vma*> twin;
  space.vmas().for_each([&](const mm::Vma& vma) { twin.push_back(&vma); });
  auto differ = [&](const Mapping* mapping, const mm::Vma* vma, std::string expected, std::string got) {
    check.differences.push_back({.pid = 0,
                                 .name = mapping ? mapping->name : std::string(),
                                 .start = mapping ? mapping->start : vma->start,
                                 .end = mapping ? mapping->end : vma->end,
                                 .expected = std::move(expected),
                                 .got = std::move(got)});
  };
  std::size_t next = 0;
  for (const Mapping& mapping : recorded) {
    if (mapping.name == "[vsyscall]") continue;  // in the kernel's half
    for (; next < twin.size() && twin[next]->start < mapping.start; ++next) {
      check.equal = false;
      differ(nullptr, twin[next], "nothing", text_of(*twin[next]));
    }
    if (next == twin.size() || twin[next]->start != mapping.start) {
      check.equal = false;
      differ(&mapping, nullptr, text_of(mapping), "nothing");
      continue;
    }
    const mm::Vma& vma = *twin[next++];
    if (vma.end != mapping.end || rights_of(vma) != mapping.permissions) {
      check.equal = false;
      differ(&mapping, &vma, text_of(mapping), text_of(vma));
    }
    if (!mapping.rss_bytes) continue;
    const bool recorder = std::any_of(recorder_ranges.begin(), recorder_ranges.end(),
                                      [&](const auto& range) { return range.first < mapping.end && mapping.start < range.second; });
    if (recorder) {
      ++check.recorder;
      continue;
    }
    ++check.mappings;
    const std::uint64_t resident = resident_bytes(space, vma);
    check.resident_bytes += *mapping.rss_bytes;
    check.resident_bytes_differ += resident > *mapping.rss_bytes ? resident - *mapping.rss_bytes : *mapping.rss_bytes - resident;
    if (resident == *mapping.rss_bytes) {
      ++check.resident_equal;
    } else {
      if (vma.anonymous()) ++check.anonymous_differ;
      differ(&mapping, &vma, fmt::format("{} KiB resident", *mapping.rss_bytes / 1024), fmt::format("{} KiB resident", resident / 1024));
    }
  }
  for (; next < twin.size(); ++next) {
    check.equal = false;
    differ(nullptr, twin[next], "nothing", text_of(*twin[next]));
  }
  return check;
}

}  // namespace faultline::replay
