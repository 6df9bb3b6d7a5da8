// What the unwinder must do at a return address, packed in one atomic word: pc tag, CFA rule, slot of the saved rbp.
// Direct-mapped; a torn or lost entry is impossible (one 64-bit store), a stale one is prevented by clear() after dlclose.
#pragma once

#include <atomic>
#include <cstdint>

namespace faultline::shim {

enum class PackedKind : std::uint8_t {
  none = 0,       // nothing known about this pc
  rsp = 1,        // CFA = rsp + offset
  rbp = 2,        // CFA = rbp + offset
  rbp_deref = 3,  // CFA = *(rbp + offset), caller's rbp = *rbp: gcc's realigned frames
  end = 4,        // return address undefined: the outermost frame
  bare = 5,       // code without CFI
};

class PackedRule {
 public:
  constexpr PackedRule() = default;
  constexpr explicit PackedRule(std::uint64_t bits) : bits_(bits) {}

  // Offsets in bytes, multiples of 8. rbp_below_cfa: CFA minus the slot where the caller's rbp is saved, 0 if unchanged.
  static constexpr bool packable(std::int64_t cfa_offset, std::uint64_t rbp_below_cfa) {
    return cfa_offset % 8 == 0 && cfa_offset >= -kOffsetBias * 8 && cfa_offset < kOffsetBias * 8 &&
           rbp_below_cfa % 8 == 0 && rbp_below_cfa / 8 < 256;
  }
  static constexpr PackedRule make(PackedKind kind, std::int64_t cfa_offset = 0, std::uint64_t rbp_below_cfa = 0) {
    return PackedRule(static_cast<std::uint64_t>(kind) | (static_cast<std::uint64_t>(cfa_offset / 8 + kOffsetBias) << 3) |
                      ((rbp_below_cfa / 8) << 20));
  }

  constexpr PackedKind kind() const { return static_cast<PackedKind>(bits_ & 7); }
  constexpr std::int64_t cfa_offset() const { return (static_cast<std::int64_t>((bits_ >> 3) & 0x1ffff) - kOffsetBias) * 8; }
  constexpr std::uint64_t rbp_below_cfa() const { return ((bits_ >> 20) & 0xff) * 8; }
  constexpr bool consumes_rbp() const { return kind() == PackedKind::rbp || kind() == PackedKind::rbp_deref; }
  constexpr bool restores_rbp() const { return kind() == PackedKind::rbp_deref || rbp_below_cfa() != 0; }
  constexpr std::uint64_t bits() const { return bits_; }

 private:
  static constexpr std::int64_t kOffsetBias = 1 << 16;
  std::uint64_t bits_ = 0;
};

class RuleCache {
 public:
  static constexpr unsigned kIndexBits = 15;
  static constexpr std::size_t kEntries = std::size_t{1} << kIndexBits;

  PackedRule find(std::uint64_t pc) const {
    const std::uint64_t entry = entries_[index(pc)].load(std::memory_order_relaxed);
    return entry >> kRuleBits == pc >> kIndexBits ? PackedRule(entry & kRuleMask) : PackedRule();
  }
  void store(std::uint64_t pc, PackedRule rule) {
    entries_[index(pc)].store((pc >> kIndexBits) << kRuleBits | rule.bits(), std::memory_order_relaxed);
  }
  void clear() {
    for (auto& entry : entries_) entry.store(0, std::memory_order_relaxed);
  }

 private:
  // 47-bit addresses: 32 tag bits beside a 28-bit rule. Folding the tag into the index keeps the pair invertible.
  static constexpr unsigned kRuleBits = 31;
  static constexpr std::uint64_t kRuleMask = (std::uint64_t{1} << kRuleBits) - 1;
  static std::size_t index(std::uint64_t pc) { return (pc ^ (pc >> kIndexBits) ^ (pc >> (2 * kIndexBits))) & (kEntries - 1); }

  std::atomic<std::uint64_t> entries_[kEntries];
};

}  // namespace faultline::shim
