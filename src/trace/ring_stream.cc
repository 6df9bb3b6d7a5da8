#include "trace/ring_stream.h"

#include <algorithm>

namespace faultline::trace {

RingStream::RingStream(BlockFile& file, std::vector<const BlockEntry*> blocks, StackTable& stacks, const TickClock& clock,
                       SideRecords* side, Report report)
    : file_(file), blocks_(std::move(blocks)), decoder_(stacks, clock, side), report_(std::move(report)) {}

bool RingStream::next_slow(HeapEvent& event) {
  while (!done_ && next_block()) {
    if (decoder_.next(event)) return true;
  }
  return false;
}

bool RingStream::next_block() {
  auto stop = [&](const std::string& line) {
    done_ = true;
    report_(line, last_ns_);
    return false;
  };
  if (!decoder_.error().empty()) {
    const BlockHeader& header = blocks_[at_ - 1]->header;
    return stop(fmt::format("{}: damaged at offset {}: byte {} of the block's records: {}", file_.path(), blocks_[at_ - 1]->offset,
                            decoder_.offset(), decoder_.error()) +
                fmt::format("; events of ring {} of process {} end there", header.ring, header.pid));
  }
  if (at_ == blocks_.size()) {
    done_ = true;
    return false;
  }
  const BlockEntry& block = *blocks_[at_];
  if (block.header.sequence != at_) {
    return stop(fmt::format("{}: damaged at offset {}: wanted block {} of ring {}, found {}; its events end there", file_.path(), block.offset,
                            at_, block.header.ring, block.header.sequence));
  }
  ++at_;
  if (Result<void> loaded = file_.load(block, payload_); !loaded) return stop(loaded.error().message());
  decoder_.feed(payload_);
  return true;
}

namespace {

class OneRing : public HeapEventReader {
 public:
  explicit OneRing(std::unique_ptr<RingStream> ring) : ring_(std::move(ring)) {}
  bool next(HeapEvent& event) override { return ring_->next(event); }

 private:
  std::unique_ptr<RingStream> ring_;
};

class ManyRings : public HeapEventReader {
 public:
  explicit ManyRings(std::vector<std::unique_ptr<RingStream>> rings) : rings_(std::move(rings)) {
    heads_.resize(rings_.size());
    for (std::uint32_t i = 0; i < rings_.size(); ++i) {
      if (advance(i, 0)) push(i);
    }
  }

  bool next(HeapEvent& event) override {
    if (heap_.empty()) return false;
    const std::uint32_t ring = heap_[0];
    event = heads_[ring].event;
    if (advance(ring, heads_[ring].key)) {
      sink();
    } else {
      heap_[0] = heap_.back();
      heap_.pop_back();
      if (!heap_.empty()) sink();
    }
    return true;
  }

 private:
  struct Head {
    HeapEvent event;
    std::uint64_t key = 0;  // order_ns, never below the ring's event before
  };

  bool advance(std::uint32_t ring, std::uint64_t at_least) {
    Head& head = heads_[ring];
    if (!rings_[ring]->next(head.event)) return false;
    head.key = std::max(at_least, head.event.order_ns());
    return true;
  }
  bool before(std::uint32_t x, std::uint32_t y) const {
    return heads_[x].key != heads_[y].key ? heads_[x].key < heads_[y].key : x < y;
  }
  void push(std::uint32_t ring) {
    heap_.push_back(ring);
    for (std::size_t at = heap_.size() - 1; at > 0 && before(heap_[at], heap_[(at - 1) / 2]); at = (at - 1) / 2) {
      std::swap(heap_[at], heap_[(at - 1) / 2]);
    }
  }
  void sink() {
    for (std::size_t at = 0;;) {
      std::size_t least = 2 * at + 1;
      if (least >= heap_.size()) return;
      if (least + 1 < heap_.size() && before(heap_[least + 1], heap_[least])) ++least;
      if (!before(heap_[least], heap_[at])) return;
      std::swap(heap_[least], heap_[at]);
      at = least;
    }
  }

  std::vector<std::unique_ptr<RingStream>> rings_;
  std::vector<Head> heads_;
  std::vector<std::uint32_t> heap_;  // ring numbers, least key first
};

}  // namespace

std::unique_ptr<HeapEventReader> merge_rings(std::vector<std::unique_ptr<RingStream>> rings) {
  if (rings.size() == 1) return std::make_unique<OneRing>(std::move(rings[0]));
  return std::make_unique<ManyRings>(std::move(rings));
}

}  // namespace faultline::trace
