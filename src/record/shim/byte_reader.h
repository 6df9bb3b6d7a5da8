// Reads .eh_frame bytes; every read is checked against the end of the segment. After a bad read ok() is false and values are 0.
// Positions are those of the object's image; the bytes themselves lie `aside` further (file_view.h).
#pragma once

#include <cstdint>

namespace faultline::shim {

class ByteReader {
 public:
  ByteReader(std::uint64_t at, std::uint64_t end, std::uint64_t aside = 0) : at_(at), end_(end), aside_(aside) {}

  bool ok() const { return ok_; }
  std::uint64_t at() const { return at_; }
  std::uint64_t end() const { return end_; }
  std::uint64_t place() const { return at_ + aside_; }  // where the next byte is read
  bool done() const { return !ok_ || at_ >= end_; }

  template <typename T>
  T fixed() {
    if (!ok_ || at_ > end_ || end_ - at_ < sizeof(T)) {
      ok_ = false;
      return 0;
    }
    T value;
    __builtin_memcpy(&value, reinterpret_cast<const void*>(at_ + aside_), sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  std::uint64_t uleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const std::uint8_t byte = fixed<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  std::int64_t sleb() {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const std::uint8_t byte = fixed<std::uint8_t>();
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if (byte < 0x80) {
        if (shift < 64 && (byte & 0x40) != 0) value |= ~std::uint64_t{0} << shift;
        return static_cast<std::int64_t>(value);
      }
    }
  }

  void skip(std::uint64_t bytes) {
    if (!ok_ || bytes > end_ - at_) {
      ok_ = false;
    } else {
      at_ += bytes;
    }
  }

  // A pointer in a DW_EH_PE_* encoding (LSB Core, "Exception Frames"). data_base is the start of .eh_frame_hdr.
  std::uint64_t encoded(std::uint8_t encoding, std::uint64_t data_base) {
    constexpr std::uint8_t kOmit = 0xff, kIndirect = 0x80;
    if (encoding == kOmit) return 0;
    const std::uint64_t place = at_;
    std::uint64_t value = 0;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c: value = fixed<std::uint64_t>(); break;
      case 0x01: value = uleb(); break;
      case 0x02: value = fixed<std::uint16_t>(); break;
      case 0x03: value = fixed<std::uint32_t>(); break;
      case 0x09: value = static_cast<std::uint64_t>(sleb()); break;
      case 0x0a: value = static_cast<std::uint64_t>(std::int64_t{fixed<std::int16_t>()}); break;
      case 0x0b: value = static_cast<std::uint64_t>(std::int64_t{fixed<std::int32_t>()}); break;
      default: ok_ = false; return 0;
    }
    switch (encoding & 0x70) {
      case 0x00: break;
      case 0x10: value += place; break;
      case 0x30: value += data_base; break;
      default: ok_ = false; return 0;
    }
    if ((encoding & kIndirect) != 0) ok_ = false;  // only personality routines use it; those are skipped, never followed
    return value;
  }

 private:
  std::uint64_t at_, end_, aside_;
  bool ok_ = true;
};

}  // namespace faultline::shim
