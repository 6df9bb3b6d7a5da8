// Contents of the modelled brk area, kept in one sparse reservation of the host outside the twin's accounting.
// A page holds data from the first store until drop(); a page without data reads as zero and costs the host nothing.
// Beside that each page has what its owner knows of accesses to it: a byte a page is all that most of them look at.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/units.h"

namespace faultline::heap {

class HostPages {
 public:
  // base: modelled address of the first byte, page aligned. The reservation covers up to `bytes`, less if the host refuses.
  HostPages(std::uint64_t base, std::uint64_t bytes);
  ~HostPages();
  HostPages(const HostPages& other);  // a copy of the contents; nothing is known of accesses
  // Takes over a reservation that is no longer needed, of at least that size: memory the host need not hand out again. What it
  // held is still there: for an owner that drops each page before its first access.
  HostPages(HostPages&& used, std::uint64_t base);
  HostPages(HostPages&& used) : HostPages(std::move(used), used.base_) {}
  HostPages& operator=(const HostPages&) = delete;

  std::uint64_t base() const { return base_; }
  std::uint64_t size() const { return size_; }
  bool covers(std::uint64_t address) const { return address - base_ < size_; }

  std::uint64_t load(std::uint64_t address) const { return *at(address); }
  void store(std::uint64_t address, std::uint64_t value) {
    if (!holds_data(address)) [[unlikely]] mark(address, kData);
    *at(address) = value;
  }
  void overwrite(std::uint64_t address, std::uint64_t value) { *at(address) = value; }  // in a page that holds data
  bool holds_data(std::uint64_t address) const { return (state(address) & kData) != 0; }

  // Known accesses. False for what is not covered.
  bool known_read(std::uint64_t address) const { return (state(address) & kRead) != 0; }
  bool known_written(std::uint64_t address) const { return (state(address) & kWritten) != 0; }
  bool known_stored(std::uint64_t address) const { return (state(address) & (kWritten | kData)) == (kWritten | kData); }
  void note_access(std::uint64_t address, bool write) { mark(address, write ? kRead | kWritten : kRead); }
  void forget_accesses(std::uint64_t start, std::uint64_t end);
  void forget_accesses() { forget_accesses(base_, base_ + size_); }
  void drop(std::uint64_t address);                         // the page of address reads as zero from now on
  void clear(std::uint64_t address, std::uint64_t length);  // zeroes bytes
  // The word at the address will be asked for soon.
  void prefetch(std::uint64_t address) const { __builtin_prefetch(at(address)); }
  // memmove within the area.
  void copy(std::uint64_t to, std::uint64_t from, std::uint64_t length);

 private:
  static constexpr std::uint8_t kData = 1, kRead = 2, kWritten = 4;

  std::uint64_t* at(std::uint64_t address) const { return words_ + (address - base_) / sizeof(std::uint64_t); }
  std::uint8_t state(std::uint64_t address) const {
    const std::uint64_t page = (address - base_) >> kPageShift;
    return page < pages_.size() ? pages_[page] : 0;
  }
  void mark(std::uint64_t address, std::uint8_t bits);

  std::uint64_t base_;
  std::uint64_t size_ = 0;
  std::uint64_t* words_ = nullptr;
  std::vector<std::uint8_t> pages_;  // kData, kRead, kWritten
};

}  // namespace faultline::heap
