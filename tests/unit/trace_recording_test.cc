// Recordings on disk: what is written is read, in order; damage costs what it hit and is told.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "trace/block_writer.h"
#include "trace/memory_codec.h"
#include "trace/process_text.h"
#include "trace/recording.h"
#include "trace/tick_clock.h"
#include "trace/wire_decoder.h"
#include "unit/trace_wire_writer.h"

namespace faultline::trace {
namespace {

using test::WireWriter;
using wire::RecordKind;

std::uint64_t seed() {
  const char* text = std::getenv("FAULTLINE_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20240612;
}

class RecordingFile : public testing::Test {
 protected:
  void SetUp() override {
    path_ = (std::filesystem::temp_directory_path() / ("faultline-test-" + std::to_string(getpid()) + ".fl")).string();
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  void replace(const std::string& bytes) const { std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes; }

  static BlockHeader header(BlockKind kind, std::uint32_t image, Pid pid) {
    BlockHeader h{};
    h.kind = static_cast<std::uint16_t>(kind);
    h.image = image;
    h.pid = pid;
    return h;
  }
  static void heap_block(BlockWriter& writer, Pid pid, std::uint32_t ring, std::uint64_t sequence, const std::vector<std::uint8_t>& bytes) {
    BlockHeader h = header(BlockKind::heap, 1, pid);
    WireSummary summary;
    std::uint64_t tick = 0;
    ASSERT_TRUE(summarize_wire(bytes, tick, summary));
    h.ring = ring;
    h.sequence = sequence;
    h.events = summary.events;
    h.flags = summary.flags;
    ASSERT_TRUE(writer.append(h, bytes));
  }

  // Two threads of process 10: mallocs at even and odd ticks, in two blocks each; a few faults, calls, samples, texts.
  void write_small(bool finished = true) const {
    auto writer = BlockWriter::create(path_);
    ASSERT_TRUE(writer) << writer.error().message();
    const TickPair pairs[] = {{1000, 0}, {3000, 1000}};  // two ticks a nanosecond
    ASSERT_TRUE(writer->append(header(BlockKind::clock, 0, 0), {reinterpret_cast<const std::uint8_t*>(pairs), sizeof pairs}));
    Meta meta;
    meta.command = {"prog", "x"};
    meta.costs.brk_ns = 12.5;
    writer->append_text(BlockKind::meta, 0, 0, to_json(meta));
    ProcessInfo process;
    process.pid = 10;
    process.is_main = true;
    writer->append_text(BlockKind::process, 1, 10, to_json(process));
    for (std::uint32_t ring = 0; ring < 2; ++ring) {
      WireWriter w;
      w.thread(1000, 10 + ring);
      if (ring == 0) w.text(RecordKind::start, "exe=/bin/prog\ninitial_brk=0x1000\nmaps:\n400000-401000 r-xp 0 0:0 0 /bin/prog\n");
      for (std::uint64_t block = 0; block < 2; ++block) {
        for (std::uint64_t i = 0; i < 50; ++i) {
          const std::uint64_t tick = 1000 + 4 * (block * 50 + i) + 2 * ring;
          w.event(RecordKind::malloc, tick, 0, {i}, {0x100000 + tick * 16});
        }
        if (block == 1 && ring == 1) w.text(RecordKind::exit, "exit_number=1\nVmHWM=100 kB\nVmRSS=50\nminflt=7\ntsc=2000\nrecorder_rss_kb=10\n");
        heap_block(*writer, 10, ring, block, w.bytes);
        w.bytes.clear();
      }
    }
    FaultEncoder faults;
    faults.add({.time_ns = 900, .address = 0xffff, .ip = 0xffffffff81000000, .tid = 11, .kind = FaultKind::major});
    faults.add({.time_ns = 100, .address = 0x7fff00001000, .ip = 0x401000, .tid = 10, .kind = FaultKind::minor});
    BlockHeader with_access = header(BlockKind::faults, 0, 10);
    with_access.flags = kHasAccess;
    ASSERT_TRUE(writer->append(with_access, faults.bytes()));
    SampleEncoder samples;
    samples.add({5, 4096});
    ASSERT_TRUE(writer->append(header(BlockKind::samples, 0, 10), samples.bytes()));
    if (finished) writer->append_text(BlockKind::end, 0, 0, "");
  }

  // Reads everything there is. The number of heap events of process 10.
  static std::size_t read_all(Recording& recording) {
    std::size_t events = 0;
    for (const ProcessInfo& process : recording.processes()) {
      const auto reader = recording.heap_events(process.pid);
      HeapEvent event;
      while (reader->next(event)) events += process.pid == 10 ? 1 : 0;
      recording.faults(process.pid);
      recording.calls(process.pid);
      recording.touches(process.pid);
      recording.modules(process.pid);
      recording.rss_samples(process.pid);
    }
    recording.main_process();
    return events;
  }

  std::string path_;
};

TEST_F(RecordingFile, ReadsWhatWasWritten) {
  write_small();
  auto opened = Recording::open(path_);
  ASSERT_TRUE(opened) << opened.error().message();
  Recording& r = **opened;
  EXPECT_FALSE(r.damage()) << *r.damage();
  EXPECT_EQ(r.meta().command, (std::vector<std::string>{"prog", "x"}));
  EXPECT_EQ(r.meta().costs.brk_ns, 12.5);
  ASSERT_EQ(r.processes().size(), 1u);
  const ProcessInfo& process = r.processes()[0];
  EXPECT_EQ(process.exe, "/bin/prog");
  EXPECT_EQ(process.initial_brk, 0x1000u);
  EXPECT_EQ(process.start_maps, "400000-401000 r-xp 0 0:0 0 /bin/prog\n");
  EXPECT_TRUE(process.exit_seen);
  EXPECT_EQ(process.exit_report_ns, 500u);
  EXPECT_EQ(process.rss_peak_bytes, 90u * 1024);
  EXPECT_EQ(process.rss_end_bytes, 40u * 1024);
  EXPECT_EQ(process.minor_faults, 7u);
  EXPECT_EQ(r.main_process(), &process);
  EXPECT_EQ(r.heap_event_count(10), 200u);

  const auto reader = r.heap_events(10);
  HeapEvent event;
  std::uint64_t count = 0;
  while (reader->next(event)) {
    const std::uint64_t tick = 1000 + 2 * count;  // the threads alternate
    ASSERT_EQ(event.begin_ns, count) << "event " << count;
    ASSERT_EQ(event.tid, 10 + static_cast<int>(count % 2));
    ASSERT_EQ(event.result, 0x100000 + tick * 16);
    ++count;
  }
  EXPECT_EQ(count, 200u);
  const auto faults = r.faults(10);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].time_ns, 100u);
  EXPECT_EQ(faults[0].address, 0x7fff00001000u);
  EXPECT_EQ(faults[1].kind, FaultKind::major);
  EXPECT_EQ(faults[1].ip, 0xffffffff81000000u);
  EXPECT_EQ(r.rss_samples(10).size(), 1u);
}

TEST_F(RecordingFile, EveryTruncationOpensWithAPrefix) {
  write_small();
  const std::string whole = contents();
  std::size_t last = 0;
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    replace(whole.substr(0, size));
    auto opened = Recording::open(path_);
    if (size < sizeof(FileHeader)) {
      ASSERT_FALSE(opened) << size;
      EXPECT_EQ(opened.error().message().find('\n'), std::string::npos);
      continue;
    }
    ASSERT_TRUE(opened) << size << ": " << opened.error().message();
    EXPECT_EQ((*opened)->damage().has_value(), size < whole.size()) << size;
    const std::size_t events = read_all(**opened);
    EXPECT_GE(events, last) << size;
    last = events;
  }
  EXPECT_EQ(last, 200u);
}

TEST_F(RecordingFile, AFlippedByteCostsOnlyItsRing) {
  write_small();
  std::string bytes = contents();
  // The last byte of the first heap block: the block after the clock, meta and process blocks.
  std::size_t offset = sizeof(FileHeader);
  for (int block = 0; block < 4; ++block) {
    BlockHeader h;
    std::memcpy(&h, bytes.data() + offset, sizeof h);
    offset += sizeof h + h.stored_bytes;
  }
  bytes[offset - 1] = static_cast<char>(bytes[offset - 1] ^ 1);
  replace(bytes);
  auto opened = Recording::open(path_);
  ASSERT_TRUE(opened);
  EXPECT_EQ(read_all(**opened), 100u);  // ring 1 is whole
  ASSERT_TRUE((*opened)->damage());
  EXPECT_NE((*opened)->damage()->find("offset"), std::string::npos) << *(*opened)->damage();
}

TEST_F(RecordingFile, MutationsNeverCrashAndNeverHang) {
  write_small();
  const std::string whole = contents();
  std::mt19937_64 random(seed());
  SCOPED_TRACE(testing::Message() << "FAULTLINE_SEED=" << seed());
  int opened_count = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = whole;
    for (std::uint64_t change = 1 + random() % 3; change > 0; --change) {
      const std::size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << random() % 8)); break;
        case 1: bytes.erase(at, 1 + random() % 40); break;
        case 2: bytes.insert(at, std::string(1 + random() % 40, static_cast<char>(random()))); break;
        default: bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 200)); break;
      }
      if (bytes.empty()) bytes.assign(1, 'x');
    }
    replace(bytes);
    auto opened = Recording::open(path_);
    if (opened) {
      EXPECT_LE(read_all(**opened), 200u);
      ++opened_count;
    } else {
      EXPECT_EQ(opened.error().message().find('\n'), std::string::npos);
      ++refused;
    }
  }
  EXPECT_GT(opened_count, 100);
  EXPECT_GT(refused, 10);
}

TEST_F(RecordingFile, AnUnfinishedFileSaysSo) {
  write_small(false);
  auto opened = Recording::open(path_);
  ASSERT_TRUE(opened);
  EXPECT_EQ(read_all(**opened), 200u);
  ASSERT_TRUE((*opened)->damage());
  EXPECT_NE((*opened)->damage()->find("not finished"), std::string::npos);
}

TEST_F(RecordingFile, ForeignAndNewerFilesAreRefused) {
  replace("#!/bin/sh\necho a long enough file of another kind\n");
  auto foreign = Recording::open(path_);
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().message().find("another kind of file"), std::string::npos);
  EXPECT_FALSE(BlockWriter::create(path_));  // and not overwritten
  EXPECT_EQ(contents().substr(0, 9), "#!/bin/sh");

  std::filesystem::remove(path_);
  write_small();
  std::string bytes = contents();
  bytes[8] = 99;
  replace(bytes);
  auto newer = Recording::open(path_);
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().message().find("format 99"), std::string::npos);
  EXPECT_TRUE(BlockWriter::create(path_));  // a recording may be replaced
}

TEST(MemoryCodec, RandomArraysComeBack) {
  std::mt19937_64 random(seed());
  SCOPED_TRACE(testing::Message() << "FAULTLINE_SEED=" << seed());
  for (int round = 0; round < 200; ++round) {
    FaultEncoder faults;
    CallEncoder calls;
    std::vector<FaultEvent> fault_list;
    std::vector<MemoryCall> call_list;
    for (int i = 0; i < 100; ++i) {
      FaultEvent fault;
      fault.time_ns = random() >> 5;
      fault.address = random() >> (random() % 64);
      fault.ip = random();
      fault.tid = static_cast<Tid>(random() % 100000);
      fault.kind = random() % 2 == 0 ? FaultKind::minor : FaultKind::major;
      fault.access = static_cast<FaultAccess>(random() % 4);
      faults.add(fault);
      fault_list.push_back(fault);
      MemoryCall call;
      call.begin_ns = random() >> 2;
      call.end_ns = call.begin_ns + random() % 100000;
      call.kind = static_cast<CallKind>(random() % kCallKindCount);
      call.source = random() % 2 == 0 ? CallSource::wrapped : CallSource::tracepoint;
      call.result = static_cast<std::int64_t>(random());
      call.tid = static_cast<Tid>(random() % 100000);
      for (unsigned a = 0; a < argument_count(call.kind); ++a) call.args[a] = random() >> (random() % 64);
      if (call.kind == CallKind::mprotect) call.args[3] = random() % 3;  // with and without a key
      calls.add(call);
      call_list.push_back(call);
    }
    std::vector<FaultEvent> faults_read;
    std::vector<MemoryCall> calls_read;
    ASSERT_TRUE(decode_faults(faults.bytes(), true, faults_read));
    ASSERT_TRUE(decode_calls(calls.bytes(), calls_read));
    ASSERT_EQ(faults_read.size(), fault_list.size());
    ASSERT_EQ(calls_read.size(), call_list.size());
    for (std::size_t i = 0; i < fault_list.size(); ++i) {
      EXPECT_EQ(faults_read[i].time_ns, fault_list[i].time_ns);
      EXPECT_EQ(faults_read[i].address, fault_list[i].address);
      EXPECT_EQ(faults_read[i].ip, fault_list[i].ip);
      EXPECT_EQ(faults_read[i].tid, fault_list[i].tid);
      EXPECT_EQ(faults_read[i].kind, fault_list[i].kind);
      EXPECT_EQ(faults_read[i].access, fault_list[i].access);
      EXPECT_EQ(calls_read[i].begin_ns, call_list[i].begin_ns);
      EXPECT_EQ(calls_read[i].end_ns, call_list[i].end_ns);
      EXPECT_EQ(calls_read[i].kind, call_list[i].kind);
      EXPECT_EQ(calls_read[i].source, call_list[i].source);
      EXPECT_EQ(calls_read[i].result, call_list[i].result);
      for (int a = 0; a < 6; ++a) EXPECT_EQ(calls_read[i].args[a], call_list[i].args[a]);
    }
  }
}

TEST(TickClock, PiecewiseLinearAndMonotonic) {
  const TickClock clock({{1000, 0}, {3000, 1000}, {5000, 3000}});
  EXPECT_EQ(clock.ns(1000), 0u);
  EXPECT_EQ(clock.ns(2000), 500u);
  EXPECT_EQ(clock.ns(4000), 2000u);
  EXPECT_EQ(clock.ns(6000), 4000u);  // the last piece goes on
  EXPECT_EQ(clock.ns(0), 0u);        // never below zero
  EXPECT_EQ(clock.tick(2000), 4000u);
  std::uint64_t before = 0;
  for (std::uint64_t tick = 0; tick < 8000; tick += 7) {
    EXPECT_GE(clock.ns(tick), before);
    before = clock.ns(tick);
  }
  EXPECT_EQ(TickClock().ns(42), 42u);
}

TEST(StackTable, SameFramesSameId) {
  StackTable table;
  std::vector<StackId> ids;
  for (std::uint64_t i = 0; i < 5000; ++i) ids.push_back(table.intern(std::vector<std::uint64_t>{i, i / 2, 7}));
  for (std::uint64_t i = 0; i < 5000; ++i) {
    EXPECT_EQ(table.intern(std::vector<std::uint64_t>{i, i / 2, 7}), ids[i]);
    EXPECT_EQ(table.frames(ids[i])[0], i);
  }
  EXPECT_EQ(table.size(), 5001u);
  EXPECT_EQ(table.intern({}), 0u);
  EXPECT_TRUE(table.frames(0).empty());
  EXPECT_TRUE(table.frames(99999).empty());
}

}  // namespace
}  // namespace faultline::trace
