#include "record/collector.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "trace/process_text.h"

namespace faultline::record {

namespace {

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kMaxAge = 100 * kMs;     // what kill -9 of the recorder may cost, with the queue's own delay
constexpr std::size_t kBlockBytes = 256 * 1024;  // large enough to compress well, small enough to hold one per thread
constexpr int kBusyWait = 1, kIdleWait = 4;      // ms; a ring of 1 MiB fills in 8 ms at most

trace::BlockHeader header_of(trace::BlockKind kind, std::uint32_t image, trace::Pid pid, std::uint32_t events) {
  trace::BlockHeader header{};
  header.kind = static_cast<std::uint16_t>(kind);
  header.image = image;
  header.pid = pid;
  header.events = events;
  return header;
}

}  // namespace

Collector::Collector(Sources sources, pid_t main_pid, std::vector<std::string> command, bool wrapped_calls, const TimeBase& time,
                     BlockQueue& queue)
    : sources_(std::move(sources)),
      wrapped_calls_(wrapped_calls),
      time_(time),
      queue_(queue),
      processes_(main_pid, std::move(command)),
      main_pid_(main_pid) {
  write_clock();
}

void Collector::run(int pidfd) {
  rss_.watch(main_pid_);
  int wait = kBusyWait;
  for (;;) {
    pollfd waits[2] = {{sources_.listener.descriptor(), POLLIN, 0}, {pidfd, POLLIN, 0}};
    ::poll(waits, 2, wait);
    if ((waits[0].revents & POLLIN) != 0) accept_programs();
    wait = drain(false) ? kBusyWait : std::min(wait + 1, kIdleWait);
    if ((waits[1].revents & POLLIN) != 0) return;
  }
}

void Collector::stop_tracing() {
  if (sources_.calls != nullptr) sources_.calls->stop();
}

std::size_t Collector::finish() {
  stop_tracing();
  accept_programs();
  for (auto& [image, segment] : segments_) segment->detach();
  drain(true);
  flush(true);
  std::size_t running = 0;
  for (auto& [image, segment] : segments_) {
    const pid_t pid = processes_.image(image).pid;
    if (pid != main_pid_ && kill(pid, 0) == 0) ++running;
  }
  release_ended(true);
  write_clock();
  return running;
}

void Collector::accept_programs() {
  while (auto greeting = sources_.listener.accept()) {
    const pid_t pid = greeting->pid;
    auto segment = queue_.failed() ? fail(make_error("the recording's disk is full")) : Segment::create(pid, wrapped_calls_);
    if (!segment) {
      if (refused_.empty()) refused_ = segment.error().message();
      Listener::answer(*greeting, {wire::kMagic, wire::kVersion, 0, 0, 0, 0}, -1);
      continue;
    }
    drain(false);  // a process that called execve: its old image's last records first
    ProcImage& image = processes_.add_image(pid, greeting->hello.parent_pid, greeting->hello.forked_without_exec != 0, time_.now_ns());
    const std::string json = trace::to_json(image.info);
    queue_.push(header_of(trace::BlockKind::process, image.number, pid, 1), {json.begin(), json.end()});
    Listener::answer(*greeting, (*segment)->welcome(), (*segment)->descriptor());
    segments_[image.number] = std::move(*segment);
    rss_.watch(pid);
  }
}

bool Collector::drain(bool last) {
  const std::uint64_t now = time_.now_ns();
  std::uint64_t bytes = 0;
  for (auto& [image, segment] : segments_) {
    segment->beat();
    if (queue_.failed()) {
      segment->detach();
    } else if (!queue_.full()) {
      bytes += segment->drain();
      segment->flush(now, kMaxAge, kBlockBytes, heap_blocks(image));
    }
  }
  drain_kernel(last);
  rss_.poll(now);
  const bool any = bytes != 0 || !raw_faults_.empty() || !raw_calls_.empty() || !raw_mappings_.empty();
  if (now >= next_flush_ns_) {
    flush(false);
    if (!queue_.full()) write_clock();  // after what it dates: a reader of a cut file trusts nothing later than its last clock
  }
  if (now >= next_release_ns_) release_ended(false);
  return any;
}

void Collector::drain_kernel(bool last) {
  raw_faults_.clear();
  raw_calls_.clear();
  raw_tasks_.clear();
  raw_mappings_.clear();
  sources_.tasks.drain(raw_tasks_, raw_mappings_, last);
  sources_.faults.drain(raw_faults_, last);
  if (sources_.calls != nullptr) sources_.calls->drain(raw_calls_);
  for (RawTask& task : raw_tasks_) {
    processes_.add(task, time_);
    if (task.thread_only) continue;
    task.event.time_ns = time_.ns(task.event.time_ns);
    if (task.event.kind == trace::TaskKind::fork && sources_.calls != nullptr && sources_.calls->shares_memory(task.event.pid)) {
      task.event.shares_memory = true;
    }
    task_blocks_[0].add(task.event);
  }
  for (RawMapping& raw : raw_mappings_) {
    raw.mapping.time_ns = time_.ns(raw.mapping.time_ns);
    mapping_blocks_[raw.pid].add(raw.mapping);
  }
  ProcHistory* history = nullptr;
  trace::FaultEncoder* block = nullptr;
  trace::Pid pid = -1;
  for (RawFault& raw : raw_faults_) {
    if (raw.pid != pid) {
      pid = raw.pid;
      history = &processes_.history(pid);
      block = &fault_blocks_[pid];
    }
    ++(raw.fault.kind == trace::FaultKind::major ? history->major_recorded : history->minor_recorded);
    raw.fault.time_ns = time_.ns(raw.fault.time_ns);
    block->add(raw.fault);
  }
  for (RawCall& raw : raw_calls_) {
    raw.call.begin_ns = time_.ns(raw.call.begin_ns);
    raw.call.end_ns = time_.ns(raw.call.end_ns);
    call_blocks_[raw.pid].add(raw.call);
  }
}

Segment::Take Collector::heap_blocks(std::uint32_t image) {
  return [this, image](std::uint32_t ring, std::int32_t tid, std::uint64_t sequence, std::vector<std::uint8_t>&& payload) {
    trace::BlockHeader header = header_of(trace::BlockKind::heap, image, processes_.image(image).pid, 0);
    header.tid = tid;
    header.ring = ring;
    header.sequence = sequence;
    queue_.push(header, std::move(payload));
  };
}

// Encoders become blocks when they are old; heap rings go their own way in drain() unless everything is wanted.
void Collector::flush(bool everything) {
  const std::uint64_t now = time_.now_ns();
  next_flush_ns_ = now + kMaxAge;
  auto push = [&](trace::BlockKind kind, auto& blocks, std::uint16_t flags = 0) {
    for (auto entry = blocks.begin(); entry != blocks.end();) {
      auto& [pid, block] = *entry;
      if (block.count() == 0) {  // quiet for a while
        entry = blocks.erase(entry);
        continue;
      }
      trace::BlockHeader header = header_of(kind, 0, pid, block.count());
      header.flags = flags;
      queue_.push(header, std::move(block.bytes()));
      block.clear();
      ++entry;
    }
  };
  push(trace::BlockKind::tasks, task_blocks_);
  push(trace::BlockKind::mappings, mapping_blocks_);
  push(trace::BlockKind::faults, fault_blocks_, trace::kHasAccess);
  push(trace::BlockKind::calls, call_blocks_);
  push(trace::BlockKind::samples, rss_.samples());
  if (!everything) return;
  for (auto& [image, segment] : segments_) segment->flush(now, 0, 0, heap_blocks(image));
}

// Segments of ended processes, drained to the last byte, are given back.
void Collector::release_ended(bool everything) {
  next_release_ns_ = time_.now_ns() + 200 * kMs;
  std::map<trace::Pid, std::uint32_t> newest;
  for (auto& [image, segment] : segments_) newest[processes_.image(image).pid] = image;
  for (auto entry = segments_.begin(); entry != segments_.end();) {
    auto& [number, segment] = *entry;
    ProcImage& image = processes_.image(number);
    const bool replaced = newest[image.pid] != number;
    if (!everything && !replaced && (kill(image.pid, 0) == 0 || errno != ESRCH)) {
      segment->free_dead_threads();
      ++entry;
      continue;
    }
    if (!queue_.failed()) segment->drain();
    segment->flush(0, 0, 0, heap_blocks(number));
    image.lost_heap_events = segment->dropped_events();
    image.lost_turns = segment->lost_turns();
    image.recorder_rss_bytes = segment->resident_bytes();
    entry = segments_.erase(entry);
  }
}

void Collector::write_clock() {
  const trace::TickPair pair = time_.pair();
  std::vector<std::uint8_t> bytes(sizeof pair);
  std::memcpy(bytes.data(), &pair, sizeof pair);
  queue_.push(header_of(trace::BlockKind::clock, 0, 0, 1), std::move(bytes));
}

}  // namespace faultline::record
