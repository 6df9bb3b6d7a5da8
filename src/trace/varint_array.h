// Arrays of LEB128 varints in a block: how the codecs write and read them. Any bytes may be read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "trace/event.h"
#include "trace/wire.h"

namespace faultline::trace::varint {

inline void put(std::vector<std::uint8_t>& out, std::uint64_t value) {
  std::uint8_t bytes[10];
  out.insert(out.end(), bytes, wire::put_varint(bytes, value));
}
inline void put_difference(std::vector<std::uint8_t>& out, std::uint64_t value, std::uint64_t before) {
  put(out, wire::zigzag(static_cast<std::int64_t>(value - before)));
}

struct Input {
  const std::uint8_t* at;
  const std::uint8_t* end;

  explicit Input(std::span<const std::uint8_t> bytes) : at(bytes.data()), end(bytes.data() + bytes.size()) {}
  bool more() const { return at != nullptr && at != end; }
  bool get(std::uint64_t& value) {
    at = wire::get_varint(at, end, value);
    return at != nullptr;
  }
  bool get32(std::uint32_t& value) {
    std::uint64_t wide = 0;
    if (!get(wide) || wide > 0xffffffff) return false;
    value = static_cast<std::uint32_t>(wide);
    return true;
  }
  bool difference(std::uint64_t& value) {  // value: the one before, then the new one
    std::uint64_t step = 0;
    if (!get(step)) return false;
    value += static_cast<std::uint64_t>(wire::unzigzag(step));
    return true;
  }
  bool tid(Tid& value) {
    auto wide = static_cast<std::uint64_t>(value);
    if (!difference(wide) || wide > 0x7fffffff) return false;
    value = static_cast<Tid>(wide);
    return true;
  }
  bool text(std::string& value) {
    std::uint64_t size = 0;
    if (!get(size) || size > static_cast<std::uint64_t>(end - at)) return false;
    value.assign(reinterpret_cast<const char*>(at), size);
    at += size;
    return true;
  }
};

}  // namespace faultline::trace::varint
