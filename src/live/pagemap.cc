#include "live/pagemap.h"

#include <unistd.h>

#include <algorithm>

#include "base/units.h"

namespace faultline::live {
namespace {

constexpr std::uint64_t kPresent = std::uint64_t{1} << 63, kSwapped = std::uint64_t{1} << 62;
constexpr std::size_t kAtOnce = 1 << 16;                   // entries a read
constexpr std::uint64_t kWhole = std::uint64_t{1} << 20;   // pages up to which each is looked at: 4 GiB, 8 MiB of entries
constexpr std::size_t kProbes = 16, kProbePages = 64;      // beyond: so many places of a cell, so many pages each

void count(const std::uint64_t* entries, std::size_t n, ResidencyCell& cell) {
  cell.pages += n;
  for (std::size_t i = 0; i < n; ++i) {
    cell.present += (entries[i] & kPresent) != 0;
    cell.swapped += (entries[i] & (kPresent | kSwapped)) == kSwapped;
  }
}

}  // namespace

Access Pagemap::open(const Proc& proc, Pid pid, Pagemap& pagemap) { return proc.open_file(pid, "pagemap", pagemap.file_); }

std::size_t Pagemap::read(std::uint64_t vpn, std::size_t pages) {
  entries_.resize(std::max(entries_.size(), pages));
  const ssize_t got = pread(file_.get(), entries_.data(), pages * sizeof(std::uint64_t), static_cast<off_t>(vpn * sizeof(std::uint64_t)));
  return got > 0 ? static_cast<std::size_t>(got) / sizeof(std::uint64_t) : 0;
}

bool Pagemap::present(std::uint64_t address) { return read(address >> kPageShift, 1) == 1 && (entries_[0] & kPresent) != 0; }

Residency Pagemap::residency(std::uint64_t start, std::uint64_t end, std::size_t cells) {
  Residency residency;
  const std::uint64_t first = start >> kPageShift, pages = (end - start) >> kPageShift;
  if (cells == 0 || pages == 0) return residency;
  cells = static_cast<std::size_t>(std::min<std::uint64_t>(cells, pages));
  residency.cells.resize(cells);
  residency.sampled = pages > kWhole;
  for (std::size_t i = 0; i < cells; ++i) {
    // Products of a page number (2^36 at most) and a cell number fit.
    const std::uint64_t from = pages * i / cells, to = pages * (i + 1) / cells;
    ResidencyCell& cell = residency.cells[i];
    if (residency.sampled) {
      const std::uint64_t step = std::max<std::uint64_t>((to - from) / kProbes, kProbePages);
      for (std::uint64_t at = from; at < to; at += step) {
        const std::size_t got = read(first + at, static_cast<std::size_t>(std::min<std::uint64_t>(kProbePages, to - at)));
        count(entries_.data(), got, cell);
      }
      continue;
    }
    for (std::uint64_t at = from; at < to;) {
      const std::size_t got = read(first + at, static_cast<std::size_t>(std::min<std::uint64_t>(kAtOnce, to - at)));
      if (got == 0) return {};
      count(entries_.data(), got, cell);
      at += got;
    }
    residency.present_pages += cell.present;
    residency.swapped_pages += cell.swapped;
  }
  return residency;
}

}  // namespace faultline::live
