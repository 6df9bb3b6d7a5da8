// Strong integers of the memory model, so that a page number is never added to a byte address by mistake.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace faultline {

inline constexpr std::uint64_t kPageShift = 12;  // x86-64 base pages
inline constexpr std::uint64_t kPageSize = std::uint64_t{1} << kPageShift;

constexpr std::uint64_t page_floor(std::uint64_t bytes) { return bytes & ~(kPageSize - 1); }
constexpr std::uint64_t page_ceil(std::uint64_t bytes) { return (bytes + kPageSize - 1) & ~(kPageSize - 1); }

template <typename Tag>
struct StrongInt {
  std::uint64_t value = 0;

  constexpr StrongInt() = default;
  constexpr explicit StrongInt(std::uint64_t v) : value(v) {}
  constexpr auto operator<=>(const StrongInt&) const = default;
};

struct Vpn : StrongInt<struct VpnTag> {  // virtual page number: address >> 12
  using StrongInt::StrongInt;
};
struct Pfn : StrongInt<struct PfnTag> {  // physical frame number
  using StrongInt::StrongInt;
};
struct ByteCount : StrongInt<struct ByteCountTag> {
  using StrongInt::StrongInt;
};
struct PageCount : StrongInt<struct PageCountTag> {
  using StrongInt::StrongInt;
  constexpr ByteCount bytes() const { return ByteCount(value << kPageShift); }
};
struct VirtAddr : StrongInt<struct VirtAddrTag> {  // a byte address in a modelled or recorded process; never dereferenced
  using StrongInt::StrongInt;
  constexpr Vpn vpn() const { return Vpn(value >> kPageShift); }
  constexpr VirtAddr page_base() const { return VirtAddr(page_floor(value)); }
  constexpr bool page_aligned() const { return (value & (kPageSize - 1)) == 0; }
};

constexpr VirtAddr operator+(VirtAddr a, ByteCount b) { return VirtAddr(a.value + b.value); }
constexpr VirtAddr operator-(VirtAddr a, ByteCount b) { return VirtAddr(a.value - b.value); }
constexpr ByteCount operator-(VirtAddr a, VirtAddr b) { return ByteCount(a.value - b.value); }
constexpr ByteCount operator+(ByteCount a, ByteCount b) { return ByteCount(a.value + b.value); }
constexpr ByteCount operator-(ByteCount a, ByteCount b) { return ByteCount(a.value - b.value); }
constexpr PageCount operator+(PageCount a, PageCount b) { return PageCount(a.value + b.value); }
constexpr PageCount operator-(PageCount a, PageCount b) { return PageCount(a.value - b.value); }
constexpr VirtAddr base_of(Vpn vpn) { return VirtAddr(vpn.value << kPageShift); }

}  // namespace faultline
