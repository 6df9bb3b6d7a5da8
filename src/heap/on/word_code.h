// The words of a modelled heap in half their size: what malloc stores are sizes, and addresses in a few areas. Every value can be
// stored; one that has no code is kept in a table beside.
//
//   0...      the value itself, below 2^31
//   10..., 11...   (address - base) / 16, for addresses up to 16 GiB from each of two bases: the area's own, and that of the first
//             foreign address (a thread's cache may hold blocks of any arena)
//   all ones, or one less   in the table; the mark of a cached block, which is in each of them
#pragma once

#include <cstdint>
#include <unordered_map>

#include "heap/chunk.h"

namespace faultline::heap {

class WordCode {
 public:
  using Code = std::uint32_t;

  WordCode() = default;
  explicit WordCode(std::uint64_t base) : bases_{base, kNoBase} {}

  Code encode(std::uint64_t value, std::uint64_t at) {
    if (value < kAddress) return static_cast<Code>(value);
    const std::uint64_t offset = value - bases_[0];
    if (offset < kReach && offset % 16 == 0) [[likely]] return static_cast<Code>(kAddress | offset >> 4);
    return value == kCacheKey ? kMarkCode : encode_foreign(value, at);
  }
  std::uint64_t decode(Code code, std::uint64_t at) const {
    if (code < kAddress) return code;
    if (code < kMarkCode) [[likely]] return bases_[code >> 30 & 1] + (std::uint64_t{code & (kForeign - kAddress - 1)} << 4);
    return code == kMarkCode ? kCacheKey : kept(at);
  }
  // The words of [from, from + length) were copied to `to` as codes. each(address) is the code of a word.
  template <typename CodeAt>
  void copied(std::uint64_t to, std::uint64_t from, std::uint64_t length, CodeAt&& each) {
    if (kept_.empty()) return;
    std::unordered_map<std::uint64_t, std::uint64_t> moved;  // the two may overlap
    for (std::uint64_t done = 0; done + 8 <= length; done += 8)
      if (each(to + done) == kKeptCode) moved[to + done] = kept(from + done);
    for (const auto& [at, value] : moved) kept_[at] = value;
  }

 private:
  static constexpr Code kAddress = Code{1} << 31, kForeign = kAddress | Code{1} << 30, kMarkCode = ~Code{1}, kKeptCode = ~Code{0};
  static constexpr std::uint64_t kReach = std::uint64_t{16} << 30, kNoBase = ~std::uint64_t{0};

  Code encode_foreign(std::uint64_t value, std::uint64_t at) {
    if (value % 16 == 0) {
      if (bases_[1] == kNoBase) bases_[1] = value > kReach / 2 ? value - kReach / 2 : 0;
      const std::uint64_t offset = value - bases_[1];
      if (offset < kReach - 32) return static_cast<Code>(kForeign | offset >> 4);  // the last two are taken
    }
    kept_[at] = value;
    return kKeptCode;
  }
  std::uint64_t kept(std::uint64_t at) const {
    const auto found = kept_.find(at);
    return found == kept_.end() ? 0 : found->second;  // a word nobody stored: of the owner before
  }

  std::uint64_t bases_[2] = {kNoBase, kNoBase};
  std::unordered_map<std::uint64_t, std::uint64_t> kept_;  // by the word's address
};

}  // namespace faultline::heap
