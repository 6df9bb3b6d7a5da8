// Contents of the modelled brk area, kept in one sparse reservation of the host outside the twin's accounting.
// A page holds data from the first store until drop(); a page without data reads as zero and costs the host nothing.
// Words are kept in half their size (word_code.h): a replay of a large heap waits for memory, and waits less for less of it.
// Beside that each page has what its owner knows of accesses to it: two bytes a page are all that most of them look at.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/prefetch.h"
#include "base/units.h"
#include "heap/on/word_code.h"

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

  // Words: addresses are multiples of 8.
  std::uint64_t load(std::uint64_t address) const { return code_.decode(*at(address), address); }
  void store(std::uint64_t address, std::uint64_t value) {
    if (!holds_data(address)) [[unlikely]] state_of(address) |= kData;
    *at(address) = code_.encode(value, address);
  }
  void overwrite(std::uint64_t address, std::uint64_t value) { *at(address) = code_.encode(value, address); }  // in a page that holds data
  bool holds_data(std::uint64_t address) const { return (state(address) & kData) != 0; }

  // Known accesses. False for what is not covered. All of them are forgotten by a new generation, whose pages know nothing yet.
  bool known_read(std::uint64_t address) const { return (state(address) | kWritten | kData) == all_known_; }
  bool known_written(std::uint64_t address) const { return (state(address) | kData) == all_known_; }
  bool known_stored(std::uint64_t address) const { return state(address) == all_known_; }
  void note_access(std::uint64_t address, bool write) {
    std::uint16_t& page = state_of(address);
    if ((page ^ all_known_) >= kGeneration) page = static_cast<std::uint16_t>((page & kData) | (all_known_ & ~kBits));
    page |= write ? kRead | kWritten : kRead;
  }
  void forget_accesses(std::uint64_t start, std::uint64_t end);
  void forget_accesses();
  void drop(std::uint64_t address);                         // the page of address reads as zero from now on
  void clear(std::uint64_t address, std::uint64_t length);  // zeroes bytes; a word that is zeroed in part reads as anything
  // The word at the address will be asked for soon; nothing, if it is not covered.
  void prefetch(std::uint64_t address) const { faultline::prefetch(at(covers(address) ? address : base_)); }
  // memmove of whole words within the area; what is left over at the end is no word.
  void copy(std::uint64_t to, std::uint64_t from, std::uint64_t length);

 private:
  static constexpr std::uint16_t kData = 1, kRead = 2, kWritten = 4, kBits = 7, kGeneration = 8;  // kWritten with kRead only

  static constexpr std::uint64_t host_bytes(std::uint64_t bytes) { return bytes / 8 * sizeof(WordCode::Code); }
  WordCode::Code* at(std::uint64_t address) const { return words_ + (address - base_) / 8; }
  std::uint16_t state(std::uint64_t address) const {
    const std::uint64_t page = (address - base_) >> kPageShift;
    return page < pages_.size() ? pages_[page] : 0;
  }
  std::uint16_t& state_of(std::uint64_t address) {
    const std::uint64_t page = (address - base_) >> kPageShift;
    if (page >= pages_.size()) pages_.resize(page + page / 2 + 64);
    return pages_[page];
  }

  std::uint64_t base_;
  std::uint64_t size_ = 0;
  WordCode::Code* words_ = nullptr;
  WordCode code_;
  std::vector<std::uint16_t> pages_;               // kData, kRead, kWritten, and the generation the last two are of
  std::uint16_t all_known_ = kGeneration | kBits;  // of this generation; never that of a page nobody asked about
};

}  // namespace faultline::heap
