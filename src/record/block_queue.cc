#include "record/block_queue.h"

#include <csignal>

#include "trace/wire_decoder.h"

namespace faultline::record {

namespace {
constexpr std::uint64_t kFullBytes = 256u << 20;
}

BlockQueue::BlockQueue(trace::BlockWriter& writer) : writer_(writer) {
  sigset_t all, before;  // signals are the main thread's
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

BlockQueue::~BlockQueue() { finish(); }

void BlockQueue::push(const trace::BlockHeader& header, std::vector<std::uint8_t> payload) {
  bytes_ += payload.size();
  {
    const std::lock_guard lock(mutex_);
    items_.push_back({header, std::move(payload)});
  }
  changed_.notify_one();
}

bool BlockQueue::full() const { return bytes_.load() > kFullBytes; }

void BlockQueue::finish() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void BlockQueue::run() {
  for (;;) {
    Item item;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !items_.empty(); });
      if (items_.empty()) return;
      item = std::move(items_.front());
      items_.pop_front();
    }
    if (item.header.kind == static_cast<std::uint16_t>(trace::BlockKind::heap)) {
      trace::WireSummary summary;
      trace::summarize_wire(item.payload, last_ticks_[{item.header.image, item.header.ring}], summary);
      item.header.events = summary.events;
      item.header.flags = summary.flags;
      item.header.first_time = summary.first_tick;
      item.header.last_time = summary.last_tick;
    }
    if (!failed_ && !writer_.append(item.header, item.payload)) failed_ = true;
    bytes_ -= item.payload.size();
  }
}

}  // namespace faultline::record
