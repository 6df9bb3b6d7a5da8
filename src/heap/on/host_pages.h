// Contents of the modelled brk area, kept in one sparse reservation of the host outside the twin's accounting.
// A page holds data from the first store until drop(); a page without data reads as zero and costs the host nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "base/units.h"

namespace faultline::heap {

class HostPages {
 public:
  // base: modelled address of the first byte, page aligned. The reservation covers up to `bytes`, less if the host refuses.
  HostPages(std::uint64_t base, std::uint64_t bytes);
  ~HostPages();
  HostPages(const HostPages& other);  // a copy of the contents
  HostPages& operator=(const HostPages&) = delete;

  std::uint64_t base() const { return base_; }
  std::uint64_t size() const { return size_; }
  bool covers(std::uint64_t address) const { return address - base_ < size_; }

  std::uint64_t load(std::uint64_t address) const {
    return holds_data(address) ? *at(address) : 0;
  }
  void store(std::uint64_t address, std::uint64_t value) {
    mark(address);
    *at(address) = value;
  }
  bool holds_data(std::uint64_t address) const {
    const std::uint64_t page = (address - base_) >> kPageShift;
    return page < data_.size() && data_[page] != 0;
  }
  void drop(std::uint64_t address);                         // the page of address reads as zero from now on
  void clear(std::uint64_t address, std::uint64_t length);  // zeroes bytes
  // The word at the address will be asked for soon.
  void prefetch(std::uint64_t address) const { __builtin_prefetch(at(address)); }
  // memmove within the area.
  void copy(std::uint64_t to, std::uint64_t from, std::uint64_t length);

 private:
  std::uint64_t* at(std::uint64_t address) const { return words_ + (address - base_) / sizeof(std::uint64_t); }
  void mark(std::uint64_t address) {
    const std::uint64_t page = (address - base_) >> kPageShift;
    if (page >= data_.size()) data_.resize(page + page / 2 + 64);
    data_[page] = 1;
  }

  std::uint64_t base_;
  std::uint64_t size_ = 0;
  std::uint64_t* words_ = nullptr;
  std::vector<std::uint8_t> data_;  // per page: holds data
};

}  // namespace faultline::heap
