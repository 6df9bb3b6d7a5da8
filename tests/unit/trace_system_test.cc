// Tasks, mappings and lives of more than one image in a recording; recordings of the format before.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "trace/block_writer.h"
#include "trace/memory_codec.h"
#include "trace/process_text.h"
#include "trace/recording.h"
#include "trace/system_codec.h"
#include "trace/varint_array.h"

namespace faultline::trace {
namespace {

std::uint64_t seed() {
  const char* text = std::getenv("FAULTLINE_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20241123;
}

bool equal(const TaskEvent& x, const TaskEvent& y) {
  return x.time_ns == y.time_ns && x.pid == y.pid && x.parent == y.parent && x.parent_tid == y.parent_tid && x.kind == y.kind && x.shares_memory == y.shares_memory;
}
bool equal(const MappingEvent& x, const MappingEvent& y) {
  return x.time_ns == y.time_ns && x.start == y.start && x.end == y.end && x.offset == y.offset && x.prot == y.prot && x.flags == y.flags &&
         x.device == y.device && x.inode == y.inode && x.inode_generation == y.inode_generation && x.path == y.path;
}

MappingEvent random_mapping(std::mt19937_64& random) {
  static const char* paths[] = {"//anon", "[heap]", "[stack]", "", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/tmp/a b\nc"};
  MappingEvent m;
  m.time_ns = random() >> 2;
  m.start = random() >> (random() % 60);
  m.end = m.start + (random() >> (random() % 60));
  m.offset = random() >> (random() % 64);
  m.prot = static_cast<std::uint32_t>(random() % 8);
  m.flags = static_cast<std::uint32_t>(random());
  m.device = static_cast<std::uint32_t>(random());
  m.inode = random();
  m.inode_generation = random() >> 32;
  m.path = paths[random() % std::size(paths)];
  return m;
}

TEST(SystemCodec, RandomArraysComeBack) {
  std::mt19937_64 random(seed());
  SCOPED_TRACE(testing::Message() << "FAULTLINE_SEED=" << seed());
  TaskEncoder tasks;
  MappingEncoder mappings;
  for (int round = 0; round < 100; ++round) {
    tasks.clear();
    mappings.clear();
    std::vector<TaskEvent> task_list, tasks_read;
    std::vector<MappingEvent> mapping_list, mappings_read;
    for (int i = 0; i < 50; ++i) {
      const auto pid = [&] { return static_cast<Pid>(random() >> 33); };
      task_list.push_back({.time_ns = random() >> 2, .pid = pid(), .parent = pid(), .kind = static_cast<TaskKind>(random() % 3), .shares_memory = random() % 2 == 0});
      TaskEvent& made = task_list.back();
      if (made.kind == TaskKind::fork) made.parent_tid = random() % 2 == 0 ? made.parent : pid();
      tasks.add(task_list.back());
      mapping_list.push_back(random_mapping(random));
      mappings.add(mapping_list.back());
    }
    ASSERT_TRUE(decode_tasks(tasks.bytes(), tasks_read));
    ASSERT_TRUE(decode_mappings(mappings.bytes(), mappings_read));
    ASSERT_EQ(tasks_read.size(), task_list.size());
    ASSERT_EQ(mappings_read.size(), mapping_list.size());
    for (std::size_t i = 0; i < task_list.size(); ++i) {
      EXPECT_TRUE(equal(tasks_read[i], task_list[i]));
      EXPECT_TRUE(equal(mappings_read[i], mapping_list[i]));
    }
    std::vector<std::uint8_t> cut(mappings.bytes().begin(), mappings.bytes().end() - 1);
    mappings_read.clear();
    EXPECT_FALSE(decode_mappings(cut, mappings_read));
    EXPECT_EQ(mappings_read.size(), mapping_list.size() - 1);
  }
}

class SystemRecording : public testing::Test {
 protected:
  void SetUp() override {
    path_ = (std::filesystem::temp_directory_path() / ("faultline-system-" + std::to_string(getpid()) + ".fl")).string();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  static BlockHeader header(BlockKind kind, Pid pid, std::uint16_t flags = 0) {
    BlockHeader h{};
    h.kind = static_cast<std::uint16_t>(kind);
    h.pid = pid;
    h.flags = flags;
    return h;
  }
  // Process 7 forks at 5, executes at 100; a call, a fault and a mapping before that and after.
  void write() const {
    auto writer = BlockWriter::create(path_);
    ASSERT_TRUE(writer);
    writer->append_text(BlockKind::meta, 0, 0, to_json(Meta{}));
    ProcessInfo process;
    process.pid = 7;
    process.start_ns = 100;
    writer->append_text(BlockKind::process, 1, 7, to_json(process));
    TaskEncoder tasks;
    tasks.add({.time_ns = 100, .pid = 7, .kind = TaskKind::exec});
    tasks.add({.time_ns = 5, .pid = 7, .parent = 6, .kind = TaskKind::fork, .shares_memory = true});
    tasks.add({.time_ns = 300, .pid = 7, .parent = 6, .kind = TaskKind::exit});
    writer->append(header(BlockKind::tasks, 0), tasks.bytes());
    FaultEncoder faults;
    CallEncoder calls;
    MappingEncoder mappings;
    for (const std::uint64_t at : {200, 50}) {
      faults.add({.time_ns = at, .address = 0x1000, .ip = 0x2000, .tid = 7, .access = FaultAccess::execute});
      MemoryCall call;
      call.begin_ns = call.end_ns = at;
      call.tid = 7;
      call.kind = CallKind::mlock2;
      calls.add(call);
      MappingEvent mapping;
      mapping.time_ns = at;
      mapping.path = "[stack]";
      mappings.add(mapping);
    }
    writer->append(header(BlockKind::faults, 7, kHasAccess), faults.bytes());
    writer->append(header(BlockKind::calls, 7), calls.bytes());
    writer->append(header(BlockKind::mappings, 7), mappings.bytes());
    writer->append_text(BlockKind::end, 0, 0, "");
  }
  std::string path_;
};

TEST_F(SystemRecording, WholeLivesAndLastImages) {
  write();
  auto opened = Recording::open(path_);
  ASSERT_TRUE(opened) << opened.error().message();
  Recording& r = **opened;
  EXPECT_EQ(r.meta().format_version, kFormatVersion);
  const auto tasks = r.tasks();
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_EQ(tasks[0].kind, TaskKind::fork);
  EXPECT_TRUE(tasks[0].shares_memory);
  EXPECT_EQ(tasks[1].kind, TaskKind::exec);
  EXPECT_EQ(tasks[2].kind, TaskKind::exit);
  EXPECT_EQ(r.mapping_events(7).size(), 2u);
  EXPECT_EQ(r.mapping_events(7)[0].time_ns, 50u);
  EXPECT_EQ(r.mapping_events(8).size(), 0u);
  EXPECT_EQ(r.calls(7).size(), 1u);
  EXPECT_EQ(r.faults(7).size(), 1u);
  ASSERT_EQ(r.calls_of_all_images(7).size(), 2u);
  EXPECT_EQ(r.calls_of_all_images(7)[0].begin_ns, 50u);
  EXPECT_EQ(r.calls_of_all_images(7)[0].kind, CallKind::mlock2);
  ASSERT_EQ(r.faults_of_all_images(7).size(), 2u);
  EXPECT_EQ(r.faults_of_all_images(7)[1].access, FaultAccess::execute);
}

// A file as the first format had it: faults without their kind of access, no tasks, no mappings.
TEST_F(SystemRecording, TheFormatBeforeIsStillRead) {
  auto writer = BlockWriter::create(path_);
  ASSERT_TRUE(writer);
  writer->append_text(BlockKind::meta, 0, 0, R"({"tool_version":"0.1","calls_exact":true})");
  writer->append_text(BlockKind::process, 1, 7, R"({"pid":7,"exe":"/bin/old"})");
  std::vector<std::uint8_t> faults;
  for (const std::uint64_t major : {0, 1}) {
    varint::put(faults, wire::zigzag(40) << 1 | major);
    varint::put_difference(faults, 0x5000, 0);
    varint::put_difference(faults, 0x6000, 0);
    varint::put_difference(faults, major != 0 ? 0 : 7, 0);
  }
  writer->append(header(BlockKind::faults, 7), faults);
  writer->append_text(BlockKind::end, 0, 0, "");
  {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(offsetof(FileHeader, version));
    file.put(1);
  }
  auto opened = Recording::open(path_);
  ASSERT_TRUE(opened) << opened.error().message();
  Recording& r = **opened;
  EXPECT_FALSE(r.damage()) << *r.damage();
  EXPECT_EQ(r.meta().format_version, 1u);
  EXPECT_FALSE(r.meta().fault_access);
  const auto read = r.faults(7);
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].time_ns, 40u);
  EXPECT_EQ(read[0].kind, FaultKind::minor);
  EXPECT_EQ(read[0].access, FaultAccess::unknown);
  EXPECT_EQ(read[1].time_ns, 80u);
  EXPECT_EQ(read[1].address, 0xa000u);
  EXPECT_EQ(read[1].kind, FaultKind::major);
  EXPECT_EQ(r.tasks().size(), 0u);
  EXPECT_EQ(r.mapping_events(7).size(), 0u);
}

}  // namespace
}  // namespace faultline::trace
