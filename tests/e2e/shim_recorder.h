// A stand-in for the recording process, for tests of the shim alone: accepts connections, drains the rings, decodes.
// Written from trace/wire.h on its own, so that the production decoder is checked against a second reading of the contract.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "trace/wire.h"

namespace faultline::test {

struct WireEvent {
  wire::RecordKind kind{};
  unsigned ring = 0;
  std::int32_t tid = 0;
  std::uint64_t begin = 0, duration = 0;
  std::uint64_t size = 0, second = 0;  // second: calloc's count, memalign's alignment, mallopt's value
  std::uint64_t old_pointer = 0, pointer = 0;
  unsigned flags = 0, old_flags = 0;
  bool foreign = false, has_stack = false;
  std::vector<std::uint64_t> frames;
  std::vector<std::uint64_t> runs;
  std::uint64_t arguments[6] = {};
  std::int64_t result = 0;
  std::string text, build_id;  // start, exit, note; module's path
  std::uint64_t module_start = 0, module_end = 0;
};

struct RecordedProcess {
  wire::Hello hello{};
  std::vector<WireEvent> events;  // ring by ring
  std::uint64_t dropped = 0, bytes = 0;
  bool exit_reported = false;
  std::string error;  // of the decoder; empty when the stream was sound

  std::vector<const WireEvent*> of(wire::RecordKind kind) const;
  const WireEvent* allocation_of(std::uint64_t size) const;  // the first with this size
  std::string start_text() const;
  std::string exit_text() const;  // the last report
  std::string start_value(const std::string& key) const;
};

struct RecorderSettings {
  unsigned ring_count = 16;
  std::uint64_t ring_bytes = 256 * 1024;
  bool wrapped_calls = false;
  bool drain = true;  // false: lets the rings fill up
  bool keep = true;   // false: counts bytes only (benchmarks)
  int dead_recorder = 0;  // a pid to claim instead of our own
  bool freeze_heartbeat = false;
};

struct RunResult {
  int wait_status = 0;
  std::string output;
  double seconds = 0;
};

class StandInRecorder {
 public:
  explicit StandInRecorder(RecorderSettings settings = {});
  ~StandInRecorder();

  // Runs a command under the shim; stdout is collected. extra: "NAME=VALUE" added to the environment. options: FAULTLINE_OPTIONS.
  RunResult run(const std::vector<std::string>& command, const std::vector<std::string>& extra = {}, const std::string& options = "");
  // Drains what is left and decodes. By pid; a pid that connected twice (exec) has several entries.
  std::multimap<pid_t, RecordedProcess> finish();

 private:
  struct Connection;
  void loop();
  void accept_one();
  bool drain(Connection& c);

  RecorderSettings settings_;
  std::string name_;
  int listener_ = -1;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::thread thread_;
};

// Without the shim, same collection of output.
RunResult run_plain(const std::vector<std::string>& command, const std::vector<std::string>& extra = {});

RecordedProcess decode(const wire::Hello& hello, const std::vector<std::vector<std::uint8_t>>& rings);

}  // namespace faultline::test
