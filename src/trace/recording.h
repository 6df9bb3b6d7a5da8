// A recording, opened for reading. Immutable; streams heap events so that memory stays O(threads), not O(events).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/cached_file.h"
#include "trace/event.h"
#include "trace/system_event.h"

namespace faultline::trace {

// Call stacks, innermost return address first. Ids are stable for one Recording.
class StackTable {
 public:
  StackTable();
  StackId intern(std::span<const std::uint64_t> frames);
  std::span<const std::uint64_t> frames(StackId id) const;
  std::size_t size() const { return offsets_.size() - 1; }

 private:
  std::vector<std::uint64_t> pool_;
  std::vector<std::uint32_t> offsets_;  // stack i is pool_[offsets_[i] .. offsets_[i + 1])
  std::vector<StackId> slots_;          // open addressing, power of two
  void grow();
};

// Pull iterator over one process's heap events, all threads merged in HeapEvent::order_ns() order.
// (A thread's own order is never changed, whatever the clock said.)
class HeapEventReader {
 public:
  virtual ~HeapEventReader() = default;
  // False at the end. A damaged tail ends the stream: see Recording::damage().
  virtual bool next(HeapEvent& event) = 0;
};

class Recording {
 public:
  // Fails with one clear line for an unreadable, foreign or newer-format file. A truncated or damaged file opens with
  // everything up to the last whole block; damage() then says what was cut and where.
  static Result<std::unique_ptr<Recording>> open(const std::string& path);
  virtual ~Recording() = default;

  virtual const Meta& meta() const = 0;
  virtual std::span<const ProcessInfo> processes() const = 0;
  const ProcessInfo* process(Pid pid) const;
  // The command's own process, or for a wrapper (sh -c, a launcher script) the descendant with the most heap events.
  virtual const ProcessInfo* main_process() const = 0;
  virtual const std::optional<std::string>& damage() const = 0;
  // Up to here no stream is known to lack anything; all ones without damage. Reading a stream may find damage and lower it.
  static constexpr std::uint64_t kToTheEnd = ~std::uint64_t{0};
  virtual std::uint64_t complete_until_ns() const { return kToTheEnd; }

  virtual std::unique_ptr<HeapEventReader> heap_events(Pid pid) = 0;
  virtual std::uint64_t heap_event_count(Pid pid);  // here: by reading all of them
  virtual std::vector<MemoryCall> calls(Pid pid) = 0;    // by begin_ns
  virtual std::vector<FaultEvent> faults(Pid pid) = 0;   // by time_ns
  virtual std::vector<TouchObservation> touches(Pid pid) = 0;  // by time_ns
  virtual std::vector<ThreadEnd> thread_ends(Pid) { return {}; }  // by time_ns; only with Meta::turns
  virtual std::vector<Module> modules(Pid pid) = 0;
  virtual std::vector<RssSample> rss_samples(Pid pid) = 0;
  // The run as the kernel saw it; empty where it was not recorded. These cover a pid's whole life, calls() and faults() its last image.
  virtual std::vector<TaskEvent> tasks() { return {}; }                          // of all processes, by time
  virtual std::vector<MappingEvent> mapping_events(Pid) { return {}; }           // by time
  virtual std::vector<MemoryCall> calls_of_all_images(Pid pid) { return calls(pid); }
  virtual std::vector<FaultEvent> faults_of_all_images(Pid pid) { return faults(pid); }
  virtual std::vector<CachedFile> cached_files() { return {}; }  // of the files that were mapped, as found when the recording ended
  virtual StackTable& stacks(Pid pid) = 0;  // complete after heap_events() was read to its end once
  virtual std::uint64_t file_bytes() const = 0;
};

}  // namespace faultline::trace
