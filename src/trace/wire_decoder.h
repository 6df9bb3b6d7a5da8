// Wire bytes of one ring into records. Defensive: any byte sequence gives records or one clean error, never a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/event.h"
#include "trace/recording.h"
#include "trace/tick_clock.h"
#include "trace/wire.h"

namespace faultline::trace {

// Receives what is no heap event. Default: nothing.
class SideRecords {
 public:
  virtual ~SideRecords() = default;
  virtual void touch(TouchObservation&&) {}
  virtual void module(Module&&) {}
  virtual void call(const MemoryCall&) {}
  virtual void thread_end(const ThreadEnd&) {}
  virtual void text(wire::RecordKind, std::string_view) {}  // start, exit, note
};

// The state both sides of a ring keep (wire.h). Blocks are fed one after the other; each holds whole records.
class WireDecoder {
 public:
  WireDecoder(StackTable& stacks, const TickClock& clock, SideRecords* side);

  // The bytes must stay valid until next() returned false.
  void feed(std::span<const std::uint8_t> block);
  // False at the end of the block or at an error.
  bool next(HeapEvent& event);
  // Empty while all is well; else what was wrong. After an error next() stays false, whatever is fed.
  const std::string& error() const { return error_; }
  std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }  // in the current block

 private:
  bool heap_event(std::uint8_t head, HeapEvent& event);
  bool side_record(wire::RecordKind kind);
  bool thread_record();
  bool touch_record(bool at_exit);
  bool contents_record();
  bool module_record();
  bool call_record();
  void observed(TouchObservation&& touch, bool at_exit);
  bool varint(std::uint64_t& value);
  bool text(std::string_view& value);
  bool pointer(std::uint64_t& value, std::uint8_t& flags);
  bool stack(StackId& id);
  bool bad(const char* what);

  StackTable& stacks_;
  const TickClock& clock_;
  SideRecords* side_;
  const std::uint8_t* begin_ = nullptr;
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  std::uint64_t last_tick_ = 0;
  std::uint64_t last_pointer_ = 0;
  Tid tid_ = 0;
  bool in_thread_ = false;  // a thread record was seen
  std::vector<StackId> slots_;
  std::vector<TouchObservation> touches_;  // wait for the record they belong to
  std::string error_;
};

// What a block holds, found without decoding values: the recorder writes it into the block's header.
struct WireSummary {
  std::uint32_t events = 0;
  std::uint16_t flags = 0;  // HeapBlockFlag
  std::uint64_t first_tick = 0, last_tick = 0;
  bool any_tick = false;
  Tid tid = 0;
};

// Walks whole records. last_tick is the decoder state carried from block to block of one ring.
// False if the bytes are no records; summary then describes those before.
bool summarize_wire(std::span<const std::uint8_t> block, std::uint64_t& last_tick, WireSummary& summary);

// The start, exit and note texts of one block, without decoding the rest.
void for_each_text(std::span<const std::uint8_t> block, const std::function<void(wire::RecordKind, std::string_view)>& text);

}  // namespace faultline::trace
