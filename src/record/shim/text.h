// Text in a fixed buffer, and comparisons: what <string> would do, without memory of its own.
#pragma once

#include <cstddef>
#include <cstdint>

namespace faultline::shim {

inline std::size_t length_of(const char* s) {
  std::size_t n = 0;
  while (s[n] != 0) ++n;
  return n;
}

inline bool starts_with(const char* s, const char* prefix) {
  while (*prefix != 0) {
    if (*s++ != *prefix++) return false;
  }
  return true;
}

inline bool equal(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

inline bool contains(const char* s, const char* part) {
  for (; *s != 0; ++s) {
    if (starts_with(s, part)) return true;
  }
  return false;
}

// Parses digits at s and moves s behind them.
inline std::uint64_t parse_number(const char*& s, unsigned base) {
  std::uint64_t value = 0;
  for (;; ++s) {
    unsigned digit;
    if (*s >= '0' && *s <= '9') {
      digit = static_cast<unsigned>(*s - '0');
    } else if (base == 16 && *s >= 'a' && *s <= 'f') {
      digit = static_cast<unsigned>(*s - 'a') + 10;
    } else {
      return value;
    }
    value = value * base + digit;
  }
}

// Appends; what does not fit is cut and full() says so.
class Text {
 public:
  Text(char* buffer, std::size_t size) : buffer_(buffer), size_(size) {}

  Text& add(const char* s, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) put(s[i]);
    return *this;
  }
  Text& add(const char* s) { return add(s, length_of(s)); }
  Text& add_decimal(std::uint64_t v) {
    char digits[20];
    int n = 0;
    do digits[n++] = static_cast<char>('0' + v % 10);
    while ((v /= 10) != 0);
    while (n > 0) put(digits[--n]);
    return *this;
  }
  Text& add_address(std::uint64_t v) {
    add("0x");
    int shift = 60;
    while (shift > 0 && (v >> shift) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) put("0123456789abcdef"[(v >> shift) & 15]);
    return *this;
  }
  Text& add_hex_bytes(const unsigned char* bytes, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      put("0123456789abcdef"[bytes[i] >> 4]);
      put("0123456789abcdef"[bytes[i] & 15]);
    }
    return *this;
  }

  const char* data() const { return buffer_; }
  std::size_t size() const { return used_; }
  bool full() const { return full_; }
  const char* c_str() {
    buffer_[used_ < size_ ? used_ : size_ - 1] = 0;
    return buffer_;
  }

 private:
  void put(char c) {
    if (used_ + 1 < size_) {
      buffer_[used_++] = c;
    } else {
      full_ = true;
    }
  }

  char* buffer_;
  std::size_t size_, used_ = 0;
  bool full_ = false;
};

}  // namespace faultline::shim
