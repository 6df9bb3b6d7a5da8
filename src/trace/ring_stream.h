// Heap events of one ring, block after block; and of all rings of a process, merged.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "trace/block_file.h"
#include "trace/recording.h"
#include "trace/wire_decoder.h"

namespace faultline::trace {

// Memory: one block. A damaged block or record ends the ring; report(line) is told once.
class RingStream {
 public:
  using Report = std::function<void(const std::string& line, std::uint64_t last_event_ns)>;
  // blocks: those of one ring, in file order.
  RingStream(BlockFile& file, std::vector<const BlockEntry*> blocks, StackTable& stacks, const TickClock& clock, SideRecords* side,
             Report report);

  bool next(HeapEvent& event) {
    if (!decoder_.next(event) && !next_slow(event)) return false;
    last_ns_ = event.begin_ns;
    return true;
  }

 private:
  bool next_slow(HeapEvent& event);
  bool next_block();

  BlockFile& file_;
  std::vector<const BlockEntry*> blocks_;
  std::size_t at_ = 0;
  std::vector<std::uint8_t> payload_;
  WireDecoder decoder_;
  Report report_;
  std::uint64_t last_ns_ = 0;
  bool done_ = false;
};

// All rings in HeapEvent::order_ns() order; a ring's own order is kept whatever the clock said.
std::unique_ptr<HeapEventReader> merge_rings(std::vector<std::unique_ptr<RingStream>> rings);

}  // namespace faultline::trace
