// Writes wire records as the shim does, for tests of the reader. Follows wire.h, independently of the shim's own encoder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace/wire.h"

namespace faultline::trace::test {

class WireWriter {
 public:
  std::vector<std::uint8_t> bytes;

  void thread(std::uint64_t tick, std::uint64_t tid) {
    head(wire::RecordKind::thread);
    number(tick);
    number(tid);
    tick_ = tick;
    pointer_ = 0;
  }
  // op with its plain arguments, then pointers (already in the order of wire.h), then an optional stack.
  void event(wire::RecordKind kind, std::uint64_t begin, std::uint64_t duration, std::vector<std::uint64_t> arguments,
             std::vector<std::uint64_t> pointers, unsigned flags = 0) {
    stamp(kind, begin, duration, wire::kNoStack);
    for (const std::uint64_t argument : arguments) number(argument);
    for (const std::uint64_t one : pointers) pointer(one, flags);
  }
  void event_with_stack(wire::RecordKind kind, std::uint64_t begin, std::uint64_t size, std::uint64_t result, unsigned slot,
                        const std::vector<std::uint64_t>* frames) {
    stamp(kind, begin, 0, 0);
    number(size);
    pointer(result, 0);
    number(std::uint64_t{slot} << 1 | (frames != nullptr ? 1 : 0));
    if (frames == nullptr) return;
    number(frames->size());
    std::uint64_t before = 0;
    for (const std::uint64_t frame : *frames) {
      number(wire::zigzag(static_cast<std::int64_t>(frame - before)));
      before = frame;
    }
  }
  void contents(std::uint64_t address, std::uint64_t how, const std::vector<std::uint64_t>& runs) {
    head(wire::RecordKind::contents);
    number(address);
    number(how);
    number(runs.size());
    for (const std::uint64_t run : runs) number(run);
  }
  void touch(wire::RecordKind kind, std::uint64_t address, const std::vector<std::uint64_t>& runs) {
    head(kind);
    number(address);
    number(runs.size());
    for (const std::uint64_t run : runs) number(run);
  }
  void text(wire::RecordKind kind, const std::string& value) {
    head(kind);
    string(value);
  }
  void module(std::uint64_t start, std::uint64_t end, std::uint64_t bias, const std::string& path, const std::string& build_id) {
    head(wire::RecordKind::module);
    number(start);
    number(end);
    number(bias);
    string(path);
    string(build_id);
  }
  void call(std::uint64_t begin, std::uint64_t duration, std::uint64_t kind, const std::uint64_t (&args)[6], std::int64_t result) {
    head(wire::RecordKind::call);
    number(begin - tick_);
    number(duration);
    number(kind);
    for (const std::uint64_t argument : args) number(argument);
    number(wire::zigzag(result));
    tick_ = begin + duration;
  }
  void head(wire::RecordKind kind, unsigned flags = 0) { bytes.push_back(static_cast<std::uint8_t>(static_cast<unsigned>(kind) | flags)); }
  void number(std::uint64_t value) {
    std::uint8_t out[10];
    bytes.insert(bytes.end(), out, wire::put_varint(out, value));
  }

 private:
  void stamp(wire::RecordKind kind, std::uint64_t begin, std::uint64_t duration, unsigned flags) {
    head(kind, flags | (duration != 0 ? wire::kHasDuration : 0u));
    number(begin - tick_);
    if (duration != 0) number(duration);
    tick_ = begin + duration;
  }
  void pointer(std::uint64_t value, unsigned flags) {
    number(wire::zigzag(static_cast<std::int64_t>(value - pointer_)) << 2 | flags);
    pointer_ = value;
  }
  void string(const std::string& value) {
    number(value.size());
    bytes.insert(bytes.end(), value.begin(), value.end());
  }

  std::uint64_t tick_ = 0, pointer_ = 0;
};

}  // namespace faultline::trace::test
