// A trace::Recording held in memory, put together by a test call by call.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "trace/recording.h"

namespace faultline::testing {

class FakeRecording : public trace::Recording {
 public:
  trace::Meta meta_data;
  trace::ProcessInfo info;
  std::vector<trace::HeapEvent> events;
  std::vector<trace::MemoryCall> call_list;
  std::vector<trace::FaultEvent> fault_list;
  std::vector<trace::TouchObservation> touch_list;

  FakeRecording() {
    info.pid = 100;
    info.is_main = true;
    info.allocator = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    info.glibc_version = "2.36";
    info.initial_brk = 0x555555559000;
    info.cpus_online = 2;
    info.end_ns = 1;
    meta_data.calls_exact = true;
    meta_data.costs = {.minor_fault_ns = 500, .brk_ns = 300, .mmap_ns = 600, .munmap_ns = 600, .munmap_page_ns = 50,
                       .madvise_ns = 300, .mremap_ns = 600, .malloc_free_pair_ns = 20};
  }

  // Adds one event; time moves on by 1 µs. Returns the event for more to be set.
  trace::HeapEvent& add(trace::HeapOp op, std::uint64_t a, std::uint64_t b, std::uint64_t result, trace::Tid tid = 100) {
    now_ns += 1000;
    trace::HeapEvent event;
    event.begin_ns = now_ns;
    event.end_ns = now_ns + 500;
    event.a = a;
    event.b = b;
    event.result = result;
    event.tid = tid;
    event.op = op;
    events.push_back(event);
    info.end_ns = now_ns + 1000;
    return events.back();
  }
  trace::HeapEvent& malloc(std::uint64_t size, std::uint64_t result, trace::Tid tid = 100) {
    return add(trace::HeapOp::malloc, size, 0, result, tid);
  }
  trace::HeapEvent& free(std::uint64_t pointer, trace::Tid tid = 100) { return add(trace::HeapOp::free, 0, pointer, 0, tid); }

  // A system call inside the last event.
  void call(trace::CallKind kind, std::uint64_t a0, std::uint64_t a1, std::uint64_t a2, std::int64_t result) {
    trace::MemoryCall call;
    call.kind = kind;
    call.args[0] = a0;
    call.args[1] = a1;
    call.args[2] = a2;
    call.result = result;
    call.tid = events.back().tid;
    call.begin_ns = events.back().begin_ns + 100;
    call.end_ns = events.back().begin_ns + 200;
    call_list.push_back(call);
  }
  void fault(std::uint64_t time_ns, std::uint64_t address) {
    fault_list.push_back({.time_ns = time_ns, .address = address, .ip = 0, .tid = 100, .kind = trace::FaultKind::minor});
    meta_data.faults_recorded = true;
  }
  // What the recorder saw of a block just before the last event (a free or realloc).
  void observed(std::uint64_t page, std::vector<std::uint32_t> runs) {
    touch_list.push_back(
        {.time_ns = events.back().begin_ns, .address = page, .tid = events.back().tid, .at_exit = false, .runs = std::move(runs)});
  }
  // What it found changed in the block that the last event frees.
  void contents(std::vector<trace::ContentRun> runs) {
    const trace::HeapEvent& last = events.back();
    touch_list.push_back({.time_ns = last.begin_ns, .address = last.b, .tid = last.tid, .at_exit = false, .runs = {}, .contents = std::move(runs)});
  }
  void at_exit(std::uint64_t page, std::vector<std::uint32_t> runs) {
    touch_list.push_back({.time_ns = now_ns + 1000, .address = page, .tid = 100, .at_exit = true, .runs = std::move(runs)});
  }

  const trace::Meta& meta() const override { return meta_data; }
  std::span<const trace::ProcessInfo> processes() const override { return {&info, 1}; }
  const trace::ProcessInfo* main_process() const override { return &info; }
  const std::optional<std::string>& damage() const override { return damage_; }
  std::unique_ptr<trace::HeapEventReader> heap_events(trace::Pid) override { return std::make_unique<Reader>(events); }
  std::uint64_t heap_event_count(trace::Pid) override { return events.size(); }
  std::vector<trace::MemoryCall> calls(trace::Pid) override { return call_list; }
  std::vector<trace::FaultEvent> faults(trace::Pid) override { return fault_list; }
  std::vector<trace::TouchObservation> touches(trace::Pid) override { return touch_list; }
  std::vector<trace::Module> modules(trace::Pid) override { return {}; }
  std::vector<trace::RssSample> rss_samples(trace::Pid) override { return {}; }
  trace::StackTable& stacks(trace::Pid) override { return *stack_table_; }
  std::uint64_t file_bytes() const override { return 0; }

  std::uint64_t now_ns = 0;

 private:
  class Reader : public trace::HeapEventReader {
   public:
    explicit Reader(const std::vector<trace::HeapEvent>& events) : events_(events) {}
    bool next(trace::HeapEvent& event) override {
      if (at_ == events_.size()) return false;
      event = events_[at_++];
      return true;
    }

   private:
    const std::vector<trace::HeapEvent>& events_;
    std::size_t at_ = 0;
  };
  std::optional<std::string> damage_;
  trace::StackTable* stack_table_ = nullptr;  // no test here asks for frames
};

}  // namespace faultline::testing
