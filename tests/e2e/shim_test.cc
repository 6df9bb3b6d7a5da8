// The shim under programs that misbehave. The recorder is tests/e2e/shim_recorder.*, the programs are tests/e2e/programs/shim_*.
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <sstream>

#include "shim_recorder.h"

namespace faultline::test {
namespace {

using wire::RecordKind;

const RecordedProcess& only(const std::multimap<pid_t, RecordedProcess>& processes) {
  EXPECT_EQ(processes.size(), 1u);
  return processes.begin()->second;
}

void expect_sound(const std::multimap<pid_t, RecordedProcess>& processes) {
  for (const auto& [pid, p] : processes) EXPECT_EQ(p.error, "") << "pid " << pid;
}

// Every free names a block that an allocation before it, in time, returned; no two live blocks share an address.
void expect_consistent(const RecordedProcess& p) {
  std::vector<const WireEvent*> events;
  for (const auto& e : p.events) {
    if (e.kind >= RecordKind::malloc && e.kind <= RecordKind::pvalloc) events.push_back(&e);
  }
  const auto order = [](const WireEvent* e) { return e->kind == RecordKind::free ? e->begin : e->begin + e->duration; };
  std::stable_sort(events.begin(), events.end(), [&](const auto* a, const auto* b) { return order(a) < order(b); });
  std::set<std::uint64_t> live;
  std::size_t wrong = 0;
  for (const auto* e : events) {
    if (e->kind == RecordKind::free) {
      wrong += live.erase(e->pointer) == 0;
      continue;
    }
    if (e->kind == RecordKind::realloc && e->old_pointer != 0 && (e->pointer != 0 || e->size == 0)) wrong += live.erase(e->old_pointer) == 0;
    if (e->pointer != 0) wrong += !live.insert(e->pointer).second;
  }
  EXPECT_EQ(wrong, 0u) << "of " << events.size();
}

struct TortureRun {
  RunResult result;
  std::multimap<pid_t, RecordedProcess> processes;
};

TortureRun torture(const std::vector<std::string>& words, RecorderSettings settings = {}, const std::string& options = "") {
  StandInRecorder recorder(settings);
  std::vector<std::string> command{SHIM_TORTURE};
  command.insert(command.end(), words.begin(), words.end());
  TortureRun run{recorder.run(command, {}, options), {}};
  run.processes = recorder.finish();
  expect_sound(run.processes);
  return run;
}

TEST(Shim, LinksOnlyLibcAndHasNoTls) {
  const RunResult dynamic = run_plain({"/usr/bin/readelf", "-dW", FAULTLINE_SHIM_PATH});
  std::istringstream lines(dynamic.output);
  int needed = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("(NEEDED)") == std::string::npos) continue;
    ++needed;
    EXPECT_TRUE(line.find("[libc.so.6]") != std::string::npos || line.find("[ld-linux-x86-64.so.2]") != std::string::npos) << line;
  }
  EXPECT_GE(needed, 1);
  EXPECT_NE(dynamic.output.find("BIND_NOW"), std::string::npos);
  const RunResult headers = run_plain({"/usr/bin/readelf", "-lW", FAULTLINE_SHIM_PATH});
  EXPECT_NE(headers.output.find("LOAD"), std::string::npos);
  EXPECT_EQ(headers.output.find("TLS"), std::string::npos);
}

TEST(Shim, FirstChunksDoNotMove) {
  const std::vector<std::string> command{"/usr/bin/setarch", "-R", SHIM_FIRST_CHUNK};
  const RunResult plain = run_plain(command);
  StandInRecorder recorder;
  const RunResult recorded = recorder.run(command);
  const auto processes = recorder.finish();
  expect_sound(processes);
  EXPECT_NE(plain.output.find("thread b70"), std::string::npos) << plain.output;
  EXPECT_EQ(plain.output, recorded.output);
  EXPECT_EQ(processes.size(), 2u);  // setarch, then the program: the exec carried the recording on
}

TEST(Shim, EnvironmentLooksUntouched) {
  for (const auto& extra : std::vector<std::vector<std::string>>{{}, {"A=1", "LD_LIBRARY_PATH=/tmp", "MALLOC_ARENA_MAX=3"}, {"LD_PRELOAD=" LIBM_PATH}}) {
    StandInRecorder recorder;
    const RunResult recorded = recorder.run({"/usr/bin/env"}, extra);
    const auto processes = recorder.finish();
    EXPECT_EQ(run_plain({"/usr/bin/env"}, extra).output, recorded.output);
    EXPECT_EQ(processes.size(), 1u);
  }
}

TEST(Shim, StartRecordTellsTheState) {
  StandInRecorder recorder;
  recorder.run({SHIM_TORTURE, "errno"}, {"MALLOC_ARENA_MAX=3", "GLIBC_TUNABLES=glibc.malloc.tcache_count=5"});
  const auto processes = recorder.finish();
  const RecordedProcess& p = only(processes);
  EXPECT_EQ(p.start_value("exe"), SHIM_TORTURE);
  EXPECT_NE(p.start_value("allocator").find("libc.so.6"), std::string::npos);
  EXPECT_EQ(p.start_value("allocator_build_id").size(), 40u);
  EXPECT_EQ(p.start_value("tunables"), "glibc.malloc.tcache_count=5");
  EXPECT_EQ(p.start_value("env"), "MALLOC_ARENA_MAX=3");
  EXPECT_EQ(std::stol(p.start_value("cpus_online")), sysconf(_SC_NPROCESSORS_ONLN));
  EXPECT_EQ(p.start_value("initial_brk").rfind("0x", 0), 0u);
  EXPECT_NE(p.start_text().find("\nmaps:\n"), std::string::npos);
  EXPECT_EQ(p.start_text().find("[heap]"), std::string::npos) << "the heap existed before the start record";
  EXPECT_GE(p.of(RecordKind::module).size(), 5u);
  // The first block lies where the break was: nobody allocated before.
  EXPECT_EQ(p.of(RecordKind::malloc).front()->pointer - std::stoull(p.start_value("initial_brk"), nullptr, 16), 0x2a0u);
}

TEST(Shim, ErrnoAndAllFunctions) {
  const TortureRun run = torture({"errno"});
  EXPECT_EQ(run.result.wait_status, 0);
  const RecordedProcess& p = only(run.processes);
  expect_consistent(p);
  for (const RecordKind kind : {RecordKind::malloc, RecordKind::calloc, RecordKind::realloc, RecordKind::free, RecordKind::memalign,
                                RecordKind::pvalloc, RecordKind::mallopt, RecordKind::malloc_trim, RecordKind::touch}) {
    EXPECT_FALSE(p.of(kind).empty()) << static_cast<int>(kind);
  }
  EXPECT_EQ(p.of(RecordKind::memalign).size(), 4u);
  EXPECT_EQ(p.of(RecordKind::mallopt).front()->size, static_cast<std::uint64_t>(-3));  // M_MMAP_THRESHOLD
  EXPECT_EQ(p.allocation_of(400000)->flags & 1u, 1u);                                  // its own mapping
  EXPECT_EQ(p.allocation_of(10)->flags, 0u);
  EXPECT_TRUE(p.exit_reported);
}

TEST(Shim, ExitRecordTellsTheEnd) {
  for (const auto& [word, status] : std::vector<std::pair<std::string, int>>{{"errno", 0}, {"exit-now", 5}, {"quick-exit", 6}}) {
    const TortureRun run = torture({word});
    EXPECT_EQ(WEXITSTATUS(run.result.wait_status), status);
    const RecordedProcess& p = only(run.processes);
    const std::string text = p.exit_text();
    for (const char* key : {"\nVmHWM=", "\nVmRSS=", "\nminflt=", "\nmajflt=", "\nrecorder_rss_kb=", "\nmaps:\n", "[heap]", "\nRss:"}) {
      EXPECT_NE(text.find(key), std::string::npos) << word << key;
    }
    EXPECT_FALSE(p.of(RecordKind::exit_touch).empty());
    EXPECT_TRUE(p.exit_reported);
  }
}

TEST(Shim, SignalHandlersThatAllocate) {
  const TortureRun run = torture({"signals"});
  EXPECT_EQ(run.result.wait_status, 0);
  const RecordedProcess& p = only(run.processes);
  if (p.dropped == 0) expect_consistent(p);
  EXPECT_NE(p.allocation_of(333), nullptr);
}

TEST(Shim, SignalStackOfEightKibibytes) { EXPECT_EQ(torture({"small-stack"}).result.wait_status, 0); }

TEST(Shim, ForkedChildrenAreProcessesOfTheirOwn) {
  const TortureRun run = torture({"fork"});
  EXPECT_EQ(run.result.wait_status, 0);
  EXPECT_EQ(run.processes.size(), 5u);
  int forked = 0;
  for (const auto& [pid, p] : run.processes) {
    forked += p.hello.forked_without_exec;
    EXPECT_TRUE(p.exit_reported);
    if (p.hello.forked_without_exec == 0) {
      EXPECT_NE(p.allocation_of(7001), nullptr);
      EXPECT_NE(p.allocation_of(7004), nullptr);
      EXPECT_EQ(p.allocation_of(7002), nullptr);
    } else {
      EXPECT_TRUE(p.allocation_of(7002) != nullptr || p.allocation_of(7003) != nullptr);
    }
  }
  EXPECT_EQ(forked, 4);
}

TEST(Shim, ForkWhileThreadsRecord) {
  const TortureRun run = torture({"fork-under-fire"});
  EXPECT_EQ(run.result.wait_status, 0);
  EXPECT_EQ(run.processes.size(), 16u);
  for (const auto& [pid, p] : run.processes) EXPECT_EQ(p.dropped, 0u);
}

TEST(Shim, ChildrenOfEveryKindAreRecorded) {
  const TortureRun run = torture({"children"});
  EXPECT_EQ(run.result.wait_status, 0);
  int children = 0;
  std::string all;
  for (const auto& [pid, p] : run.processes) {
    all += p.start_value("exe") + " ";
    children += p.hello.forked_without_exec == 0 && p.allocation_of(7005) == nullptr;
  }
  // vfork+exec, two spawns, system's sh and true, popen's sh and env, execlp, execle's sh.
  EXPECT_EQ(children, 9) << all;
}

TEST(Shim, ThreadChurn) {
  const TortureRun run = torture({"threads"});
  EXPECT_EQ(run.result.wait_status, 0);
  const RecordedProcess& p = only(run.processes);
  EXPECT_EQ(p.dropped, 0u);
  std::set<std::int32_t> tids;
  std::size_t churned = 0;
  for (const auto& e : p.events) {
    if (e.kind == RecordKind::malloc && e.size <= 200) {
      tids.insert(e.tid);
      ++churned;
    }
  }
  EXPECT_GE(tids.size(), 497u);
  EXPECT_GE(churned, 496u * 200);
  expect_consistent(p);
}

TEST(Shim, MoreThreadsThanRingsAreCountedNotBlocked) {
  const TortureRun run = torture({"many-threads"});
  EXPECT_EQ(run.result.wait_status, 0);
  EXPECT_GT(only(run.processes).dropped, 0u);
}

TEST(Shim, LibrariesComeAndGo) {
  const TortureRun run = torture({"plugins", SHIM_PLUGIN});
  EXPECT_EQ(run.result.wait_status, 0);
  const RecordedProcess& p = only(run.processes);
  EXPECT_EQ(p.of(RecordKind::modules_stale).size(), 200u);
  // Every allocation inside the plugin has both of its frames in the mapping announced last.
  std::uint64_t start = 0, end = 0;
  std::size_t seen = 0, inside = 0;
  for (const auto& e : p.events) {
    if (e.kind == RecordKind::module && e.text.find("shim_plugin") != std::string::npos) {
      start = e.module_start;
      end = e.module_end;
    }
    if (e.kind != RecordKind::malloc || e.size != 7100) continue;
    ++seen;
    inside += e.frames.size() >= 5 && e.frames[0] >= start && e.frames[0] < end && e.frames[1] >= start && e.frames[1] < end &&
              (e.frames[2] < start || e.frames[2] >= end);
  }
  EXPECT_EQ(seen, 200u);
  EXPECT_EQ(inside, 200u);
}

TEST(Shim, AllDescriptorsClosed) {
  const TortureRun run = torture({"closed"});
  EXPECT_EQ(run.result.output, run_plain({SHIM_TORTURE, "closed"}).output);
  EXPECT_EQ(run.result.wait_status, 0);
  EXPECT_GE(only(run.processes).of(RecordKind::malloc).size(), 200000u);
}

TEST(Shim, FullRingWaitsForTheRecorder) {
  RecorderSettings small;
  small.ring_bytes = 64 * 1024;
  const TortureRun run = torture({"churn", "300000"}, small);
  EXPECT_EQ(run.result.wait_status, 0);
  const RecordedProcess& p = only(run.processes);
  EXPECT_EQ(p.dropped, 0u);
  EXPECT_GE(p.of(RecordKind::free).size(), 300000u);
  expect_consistent(p);
}

TEST(Shim, DeadRecorderIsNotWaitedFor) {
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  waitpid(dead, nullptr, 0);
  RecorderSettings settings;
  settings.drain = false;
  settings.freeze_heartbeat = true;
  settings.dead_recorder = dead;
  StandInRecorder recorder(settings);
  const RunResult result = recorder.run({SHIM_TORTURE, "churn", "1000000"});
  EXPECT_EQ(result.wait_status, 0);
  EXPECT_LT(result.seconds, 5);
}

TEST(Shim, NoRecorderAtAll) {
  const RunResult result = run_plain({SHIM_TORTURE, "errno"}, {std::string("LD_PRELOAD=") + FAULTLINE_SHIM_PATH, "FAULTLINE_SOCKET=nobody-listens-here"});
  EXPECT_EQ(result.wait_status, 0);
}

TEST(Shim, KilledProgramLeavesItsRecords) {
  const TortureRun run = torture({"killed"});
  EXPECT_TRUE(WIFSIGNALED(run.result.wait_status));
  const RecordedProcess& p = only(run.processes);
  EXPECT_GE(p.of(RecordKind::malloc).size(), 5000u);
  EXPECT_FALSE(p.exit_reported);
}

TEST(Shim, TouchedPagesOfFreedBlocks) {
  const TortureRun run = torture({"touches"});
  bool large = false, medium = false;
  const auto& events = only(run.processes).events;
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    if (events[i].kind != RecordKind::touch) continue;
    EXPECT_EQ(events[i + 1].kind, RecordKind::free);
    const auto& runs = events[i].runs;
    // 257 pages: the header's and the next nine, then page 100 of the block, whose byte lies on page 100.
    large |= runs == std::vector<std::uint64_t>{10, 90, 1, 156} && events[i].pointer + 16 == events[i + 1].pointer;
    medium |= runs.size() == 1 && runs[0] >= 17 && runs[0] <= 18;
  }
  EXPECT_TRUE(large);
  EXPECT_TRUE(medium);
}

TEST(Shim, ChangedContentsOfBlocks) {
  const TortureRun run = torture({"contents"});
  EXPECT_EQ(run.result.wait_status, 0);
  std::vector<std::vector<std::uint64_t>> freed, alive;  // content page by page
  std::uint64_t block = 0;
  for (const auto* e : only(run.processes).of(RecordKind::contents)) {
    std::vector<std::uint64_t> pages;
    for (const std::uint64_t run_of_pages : e->runs) pages.insert(pages.end(), run_of_pages >> wire::kContentBits, run_of_pages & ((1U << wire::kContentBits) - 1));
    if (e->second != wire::kContentsAtExit) freed.push_back(pages);
    if (e->second != wire::kContentsAtExit || pages.size() != 17) continue;  // libstdc++ keeps a block of 18 pages
    alive.push_back(pages);
    block = e->pointer;
  }
  ASSERT_EQ(freed.size(), 2U);
  ASSERT_EQ(alive.size(), 1U);
  EXPECT_NE(freed[0].back() & wire::kContentChanged, 0U);
  // The second page of the block is the first whole one.
  const std::vector<std::uint64_t>& seen = freed[1];
  ASSERT_EQ(seen.size(), 17U);
  constexpr std::uint64_t kSame = wire::kContentCompared;
  for (std::size_t i = 0; i < seen.size(); ++i)
    EXPECT_EQ(seen[i], i == 3 ? kSame | wire::kContentChanged | 9 | 9 << wire::kContentLastLineShift : i == 7 ? 0 : kSame) << "page " << i;  // what is gone is not written
  EXPECT_EQ(alive[0].size(), 17U);
  const std::size_t written = (block % 4096 + 10 * 4096) / 4096;
  for (std::size_t i = 0; i < alive[0].size(); ++i) EXPECT_EQ((alive[0][i] & wire::kContentChanged) != 0, i == written) << "page " << i;
}

TEST(Shim, WrappedCalls) {
  RecorderSettings settings;
  settings.wrapped_calls = true;
  const TortureRun run = torture({"calls"}, settings);
  EXPECT_EQ(run.result.wait_status, 0);
  std::vector<std::uint64_t> codes;
  for (const auto* e : only(run.processes).of(RecordKind::call)) codes.push_back(e->second);
  EXPECT_EQ(codes, (std::vector<std::uint64_t>{1, 4, 5, 3, 2, 2, 0, 0}));
  EXPECT_EQ(only(run.processes).of(RecordKind::call)[5]->result, -22);
  EXPECT_TRUE(only(torture({"calls"}).processes).of(RecordKind::call).empty());
}

TEST(Shim, OptionsWithoutStacks) {
  const TortureRun run = torture({"errno"}, {}, "stacks=0,touches=0");
  const RecordedProcess& p = only(run.processes);
  EXPECT_TRUE(p.of(RecordKind::touch).empty());
  EXPECT_TRUE(p.of(RecordKind::contents).empty());
  for (const auto* e : p.of(RecordKind::malloc)) EXPECT_FALSE(e->has_stack);
}

// One thread at a time in the allocator: nothing hangs, nothing is lost, and no two calls overlap.
TEST(Shim, TurnsChangeNothing) {
  for (const char* what : {"errno", "signals", "small-stack", "fork", "fork-under-fire", "children", "many-threads", "closed"}) {
    SCOPED_TRACE(what);
    EXPECT_EQ(torture({what}, {}, "turns=1").result.wait_status, 0);
  }
}

TEST(Shim, TurnsDoNotOverlap) {
  const TortureRun run = torture({"threads"}, {}, "turns=1");
  EXPECT_EQ(run.result.wait_status, 0);
  const RecordedProcess& p = only(run.processes);
  EXPECT_EQ(p.dropped, 0u);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> calls;
  for (const auto& e : p.events)
    if (e.kind == RecordKind::malloc || e.kind == RecordKind::free) calls.emplace_back(e.begin, e.begin + e.duration);
  std::sort(calls.begin(), calls.end());
  std::size_t overlaps = 0;
  for (std::size_t i = 1; i < calls.size(); ++i) overlaps += calls[i].first < calls[i - 1].second || calls[i].first == calls[i - 1].first;
  EXPECT_EQ(overlaps, 0u) << "of " << calls.size();
}

}  // namespace
}  // namespace faultline::test
