// Compression and writing on a thread of their own, so that neither stalls the draining of rings.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "trace/block_writer.h"

namespace faultline::record {

class BlockQueue {
 public:
  explicit BlockQueue(trace::BlockWriter& writer);
  ~BlockQueue();
  BlockQueue(const BlockQueue&) = delete;
  BlockQueue& operator=(const BlockQueue&) = delete;

  // Heap blocks get their summary (events, flags, ticks) here, off the caller's path.
  void push(const trace::BlockHeader& header, std::vector<std::uint8_t> payload);
  bool full() const;                             // the caller should leave data in the rings: programs then wait
  bool failed() const { return failed_.load(); }  // nothing is written any more: BlockWriter::failure()
  void finish();                                 // everything pushed is written; the writer is the caller's again

 private:
  struct Item {
    trace::BlockHeader header;
    std::vector<std::uint8_t> payload;
  };
  void run();

  trace::BlockWriter& writer_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> last_ticks_;  // by image and ring
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> items_;
  std::atomic<std::uint64_t> bytes_{0};
  std::atomic<bool> failed_{false};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace faultline::record
