// What of a mapped file was in the page cache, and how its device is read ahead: what a file fault maps depends on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::trace {

// 2^order pages that the kernel handles as one; aligned to its own size.
struct CachedFolio {
  std::uint64_t first = 0;  // page of the file
  std::uint8_t order = 0;
  bool marker = false;      // read-ahead continues when it is met
  bool dirty = false;
  bool operator==(const CachedFolio&) const = default;
};

struct CachedFile {
  std::string path;
  std::uint32_t device = 0;  // as MappingEvent::device
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;
  bool memory_only = false;          // tmpfs, memfd
  std::uint8_t max_order = 0;        // the file system's largest folio
  std::uint32_t window_pages = 32;   // read_ahead_kb of the device
  std::uint32_t request_pages = 32;  // its largest request
  bool folios_known = false;         // else every cached page counts as a folio of its own (/proc/kpageflags needs root)
  std::vector<CachedFolio> folios;   // ascending
  bool operator==(const CachedFile&) const = default;
};

}  // namespace faultline::trace
