// What an address space counts: faults by path and tag, resident pages, page-table memory.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "mm/phys/frame_table.h"
#include "mm/space/vma.h"

namespace faultline::mm {

enum class FaultKind : std::uint8_t { minor, major };

// How a fault was served (mm/memory.c: do_anonymous_page, do_wp_page, do_fault ...).
enum class FaultPath : std::uint8_t {
  anon_zero_fill,  // write to untouched anonymous memory: a fresh zeroed frame
  zero_page,       // read of untouched anonymous memory: the shared zero page, no frame
  cow_copy,        // write to a page that is not ours alone (here: the zero page): a fresh frame
  cow_reuse,       // write to our own frame behind a read-only entry: the entry is made writable
  file_map,        // page of a file or of shared memory that was there
  file_read,       // the same after it was read from disk: a major fault
  swap_in,         // page that was in swap: major if it was read, minor if the swap cache had it
  spurious,        // nothing to do
};
inline constexpr std::size_t kFaultPaths = 8;

constexpr std::string_view name_of(FaultPath path) {
  constexpr std::array<std::string_view, kFaultPaths> names = {"anon_zero_fill", "zero_page", "cow_copy",
                                                               "cow_reuse",      "file_map",  "file_read",
                                                               "swap_in",        "spurious"};
  return names[static_cast<std::size_t>(path)];
}

struct TagStatistics {
  std::array<std::uint64_t, kFaultPaths> faults{};  // by path; their sum is minor_faults + major_faults
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t resident_pages = 0;       // anonymous pages with a frame (RssAnon)
  std::uint64_t resident_file_pages = 0;   // pages of files, opaque ones too (RssFile)
  std::uint64_t resident_shmem_pages = 0;  // pages of shared memory and tmpfs (RssShmem)
  std::uint64_t swapped_pages = 0;         // entries that refer to swap (VmSwap)
  std::uint64_t mapped_pages = 0;         // covered by a mapping

  std::uint64_t& resident(FrameUse use) {
    if (use == FrameUse::anonymous) return resident_pages;
    return use == FrameUse::shmem ? resident_shmem_pages : resident_file_pages;
  }
};

struct Statistics {
  std::array<TagStatistics, kVmaTags> by_tag{};
  std::uint64_t resident_pages = 0;       // sum over tags and kinds
  std::uint64_t outside_pages = 0;        // resident pages of the process that the address space does not hold
  FaultPath last_path = FaultPath::spurious;  // of the latest fault
  std::uint64_t peak_resident_pages = 0;  // greatest resident_pages + outside_pages so far (VmHWM)

  const TagStatistics& of(VmaTag tag) const { return by_tag[static_cast<std::size_t>(tag)]; }
  TagStatistics& of(VmaTag tag) { return by_tag[static_cast<std::size_t>(tag)]; }
  std::uint64_t minor_faults() const {
    std::uint64_t sum = 0;
    for (const TagStatistics& tag : by_tag) sum += tag.minor_faults;
    return sum;
  }
  std::uint64_t major_faults() const {
    std::uint64_t sum = 0;
    for (const TagStatistics& tag : by_tag) sum += tag.major_faults;
    return sum;
  }
  std::uint64_t swapped_pages() const {
    std::uint64_t sum = 0;
    for (const TagStatistics& tag : by_tag) sum += tag.swapped_pages;
    return sum;
  }
  std::uint64_t mapped_pages() const {
    std::uint64_t sum = 0;
    for (const TagStatistics& tag : by_tag) sum += tag.mapped_pages;
    return sum;
  }
};

}  // namespace faultline::mm
