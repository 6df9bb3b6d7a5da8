// A FakeRecording with call stacks, modules and damage: what the analysis and the report ask for.
#pragma once

#include "support/fake_recording.h"

namespace faultline::testing {

class SyntheticRecording : public FakeRecording {
 public:
  static constexpr std::uint64_t kLibc = 0x7f0000000000, kLibcEnd = 0x7f0000200000;
  static constexpr std::uint64_t kProgram = 0x555555554000, kProgramEnd = 0x555555558000;
  static constexpr std::uint64_t kRecorder = 0x7f1000000000, kRecorderEnd = 0x7f1000100000;

  std::vector<trace::Module> module_list;
  std::optional<std::string> damage_line;
  trace::StackTable stack_table;

  SyntheticRecording() {
    info.allocator = "/nonexistent/libc.so.6";  // no symbols, on whatever machine the test runs
    info.start_maps =
        "555555554000-555555558000 r-xp 00000000 08:01 12 /bin/program\n"
        "7f0000000000-7f0000200000 r-xp 00000000 08:01 13 /nonexistent/libc.so.6\n"
        "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0 [stack]\n";
    info.exit_seen = true;
    info.recorder_ranges = {{kRecorder, kRecorderEnd}};
    module_list = {{.start = kProgram, .end = kProgramEnd, .bias = kProgram, .path = "/nonexistent/program", .build_id = ""},
                   {.start = kLibc, .end = kLibcEnd, .bias = kLibc, .path = info.allocator, .build_id = "0000"}};
    meta_data.faults_recorded = true;
    meta_data.wall_ns = 1'000'000'000;
    meta_data.user_ns = 600'000'000;
    meta_data.system_ns = 300'000'000;
  }

  trace::StackId stack(std::vector<std::uint64_t> frames) { return stack_table.intern(frames); }

  const std::optional<std::string>& damage() const override { return damage_line; }
  std::vector<trace::Module> modules(trace::Pid) override { return module_list; }
  trace::StackTable& stacks(trace::Pid) override { return stack_table; }
};

}  // namespace faultline::testing
