// SwapWrites: pages on their way to the swap device: kept back while somebody plugs the queue, put together to requests, done one request
// after the other. Who reads ahead from swap plugs it for all its pages, and reclaim that runs to make room for them cannot send a
// page until 32 requests are together: it unmaps thousands of pages before the first is free. Counterpart: struct blk_plug,
// blk_add_rq_to_plug() and blk_attempt_plug_merge() (block/blk-mq.c, block/blk-merge.c), swap_writeout() (mm/page_io.c), Linux 6.18.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "mm/backing/block_device.h"
#include "mm/phys/frame_observer.h"

namespace faultline::mm {

class SwapWrites {
 public:
  struct Write {
    Pfn pfn;
    std::uint32_t page;  // Frame::page
  };

  SwapWrites(BlockDevice& device, const VirtualClock& clock) : device_(device), clock_(clock) {}

  void plug() { ++plugs_; }  // blk_start_plug(): the outermost counts
  void unplug() {
    if (--plugs_ == 0) flush();
  }
  void add_read(SwapSlot slot) {  // its time is the reader's; here it is one more in the plug
    if (plugs_ > 0) add_page(slot, false);
  }
  void add(SwapSlot slot, Write write) {
    add_page(slot, true);
    kept_.push_back(write);
    if (plugs_ == 0) flush();
  }
  void send(Write write) { sent_.push_back({device_.write(clock_.now_ns(), 1), write}); }  // of a file: a request of its own
  // What is kept back goes to the device: who sleeps does that, and a full plug.
  void flush() {
    std::size_t next = 0;
    for (const Request& request : requests_) {
      if (!request.write) continue;
      const std::uint64_t done_ns = device_.write(clock_.now_ns(), request.pages);
      for (std::uint64_t i = 0; i < request.pages; ++i) sent_.push_back({done_ns, kept_[next++]});
    }
    requests_.clear();
    kept_.clear();
  }
  bool empty() const { return sent_.empty() && kept_.empty(); }
  // When the next one that was sent is done; nothing where none was.
  std::optional<std::uint64_t> next_done_ns() const { return sent_.empty() ? std::nullopt : std::optional(sent_.front().done_ns); }
  Write take_next() {
    const Write next = sent_.front().write;
    sent_.pop_front();
    return next;
  }

 private:
  static constexpr std::size_t kMostRequests = 32;  // BLK_MAX_REQUEST_COUNT
  static constexpr std::uint64_t kFlushPages = 32;  // BLK_PLUG_FLUSH_SIZE

  struct Request {
    bool write;
    std::uint64_t next;  // slot behind it
    std::uint64_t pages;
  };
  struct Sent {
    std::uint64_t done_ns;
    Write write;
  };

  void add_page(SwapSlot slot, bool write) {
    if (!requests_.empty()) {
      Request& last = requests_.back();
      if (last.write == write && last.next == slot.value && last.pages < device_.model().request_pages) {
        ++last.next;
        ++last.pages;
        return;
      }
      // The size that is looked at is the first one's: behind a small read, only the count ends it.
      if (requests_.size() >= kMostRequests || requests_.front().pages >= kFlushPages) flush();
    }
    requests_.push_back({write, slot.value + 1, 1});
  }

  BlockDevice& device_;
  const VirtualClock& clock_;
  unsigned plugs_ = 0;
  std::vector<Request> requests_;  // kept back
  std::vector<Write> kept_;        // their pages that are written, in order
  std::deque<Sent> sent_;          // in the order they will be done
};

}  // namespace faultline::mm
