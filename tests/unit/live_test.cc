// What is read from /proc, on texts as the kernel writes them and on a folder that looks like /proc.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "live/arenas.h"
#include "live/image_end.h"
#include "live/mapping_change.h"
#include "live/pagemap.h"
#include "live/printable.h"
#include "live/process_stat.h"
#include "live/process_status.h"
#include "live/process_table.h"
#include "live/process_view.h"
#include "live/view/map_view.h"
#include "live/view/residency_bar.h"
#include "live/view/selection.h"
#include "live/view/top_rows.h"

namespace faultline::live {
namespace {

std::string stat_line_of(Pid pid, const std::string& name, std::uint64_t minor, std::uint64_t major, std::uint64_t start, std::uint64_t flags = 0x400000) {
  return fmt::format("{} ({}) S 1 {} {} 0 -1 {} {} 9 {} 8 7 6 5 4 20 0 3 0 {} 1000000 50 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
                     pid, name, pid, pid, flags, minor, major, start);
}

TEST(ProcessStat, NamesMayHoldAnything) {
  for (const std::string name : {"cat", "a b", ") S 1 (", "((", "))", "", "new\nline", "kworker/u8:3-events_unbound", ") Z 1 2 3"}) {
    ProcessStat stat;
    ASSERT_TRUE(parse_stat(stat_line_of(42, name, 123, 45, 678), stat)) << name;
    EXPECT_EQ(stat.command(), name);
    EXPECT_EQ(stat.pid, 42);
    EXPECT_EQ(stat.state, 'S');
    EXPECT_EQ(stat.parent, 1);
    EXPECT_EQ(stat.minor_faults, 123u);
    EXPECT_EQ(stat.major_faults, 45u);
    EXPECT_EQ(stat.threads, 3u);
    EXPECT_EQ(stat.start_ticks, 678u);
    EXPECT_EQ(stat.virtual_bytes, 1000000u);
    EXPECT_EQ(stat.rss_bytes, 50u * 4096);
    EXPECT_FALSE(stat.kernel_thread);
  }
}

TEST(ProcessStat, KernelThreadsByTheirFlag) {
  ProcessStat stat;
  ASSERT_TRUE(parse_stat(stat_line_of(2, "kthreadd", 0, 0, 0, 2129984), stat));
  EXPECT_TRUE(stat.kernel_thread);
}

TEST(ProcessStat, CutAndForeignLinesAreNone) {
  ProcessStat stat;
  const std::string whole = stat_line_of(42, "x) y", 123, 45, 678);
  const std::size_t enough = whole.find("1000000 50 ") + 10;
  for (std::size_t length = 0; length < enough; ++length) parse_stat(whole.substr(0, length), stat);  // nothing is read behind the end
  for (const char* text : {"", "(", ")", "()", "12 (a", "12 a)", "x (a) S 1 1 1 1 1", "12 (a) S", ")("}) EXPECT_FALSE(parse_stat(text, stat)) << text;
}

TEST(ProcessStatus, MemoryLines) {
  const auto status = parse_status("Name:\tx\nVmSize:\t    3060 kB\nVmRSS:\t    1728 kB\nVmHWM:\t 1800 kB\nRssAnon:\t 116 kB\nVmPTE:\t      40 kB\nVmSwap:\t       8 kB\n");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->rss_bytes, 1728u * 1024);
  EXPECT_EQ(status->rss_peak_bytes, 1800u * 1024);
  EXPECT_EQ(status->anonymous_bytes, 116u * 1024);
  EXPECT_EQ(status->page_table_bytes, 40u * 1024);
  EXPECT_EQ(status->swapped_bytes, 8u * 1024);
  EXPECT_FALSE(parse_status("Name:\tkthreadd\nState:\tS (sleeping)\nThreads:\t1\n"));
}

TEST(Smaps, PathsWithBlanksAndUnknownLines) {
  const auto mappings = parse_smaps(
      "7f0000000000-7f0000003000 r-xp 00001000 fe:00 99                         /usr/lib/a b (deleted)\nSize: 12 kB\nRss: 8 kB\nPss: 3 kB\nPss_Dirty: 1 kB\n"
      "Shared_Clean: 4 kB\nShared_Dirty: 0 kB\nPrivate_Dirty: 4 kB\nAnonymous: 4 kB\nSomethingNew: 7 kB\nSwap: 12 kB\nSwapPss: 12 kB\nVmFlags: rd mr mw me\n"
      "7f0000003000-7f0000004000 ---p 00000000 00:00 0 \nRss: 0 kB\n");
  ASSERT_EQ(mappings.size(), 2u);
  EXPECT_EQ(mappings[0].path, "/usr/lib/a b (deleted)");
  EXPECT_EQ(mappings[0].size_bytes(), 3u * 4096);
  EXPECT_EQ(mappings[0].rss_bytes, 8192u);
  EXPECT_EQ(mappings[0].pss_bytes, 3072u);
  EXPECT_EQ(mappings[0].shared_bytes, 4096u);
  EXPECT_EQ(mappings[0].dirty_bytes, 4096u);
  EXPECT_EQ(mappings[0].swapped_bytes, 12288u);
  EXPECT_TRUE(mappings[0].executable());
  EXPECT_TRUE(mappings[1].inaccessible());
  EXPECT_TRUE(mappings[1].anonymous());
}

Mapping mapping(std::uint64_t start, std::uint64_t end, const char* permissions = "rw-p", const std::string& path = {}) {
  Mapping one;
  one.start = start;
  one.end = end;
  std::copy(permissions, permissions + 4, one.permissions);
  one.path = path;
  one.inode = path.starts_with("/") ? 7 : 0;
  return one;
}

constexpr std::uint64_t kHeapAt = 0x7f0000000000;

struct Words {
  std::map<std::uint64_t, std::uint64_t> values;
  void heap(std::uint64_t at, std::uint64_t arena, std::uint64_t prev, std::uint64_t size) {
    values[at] = arena;
    values[at + 8] = prev;
    values[at + 16] = values[at + 24] = size;
  }
  ReadWord reader() const {
    return [this](std::uint64_t at) { return values.contains(at) ? std::optional(values.at(at)) : std::nullopt; };
  }
};

TEST(Arenas, ByShapeWhereNothingCanBeRead) {
  const std::vector<Mapping> mappings = {mapping(kHeapAt, kHeapAt + 0x21000), mapping(kHeapAt + 0x21000, kHeapAt + kHeapMax, "---p"),
                                         mapping(kHeapAt + 4 * kHeapMax + 4096, kHeapAt + 4 * kHeapMax + 8192),  // not aligned
                                         mapping(kHeapAt + 6 * kHeapMax, kHeapAt + 7 * kHeapMax),                // may be anything
                                         mapping(kHeapAt + 8 * kHeapMax, kHeapAt + 8 * kHeapMax + 4096),         // nothing reserved behind it
                                         mapping(kHeapAt + 9 * kHeapMax, kHeapAt + 9 * kHeapMax + 4096), mapping(kHeapAt + 9 * kHeapMax + 4096, kHeapAt + 9 * kHeapMax + 8192, "---p")};
  const auto heaps = find_heaps(mappings, Words{}.reader());
  ASSERT_EQ(heaps.size(), 1u);
  EXPECT_EQ(heaps[0].address, kHeapAt);
  EXPECT_EQ(heaps[0].arena, 0u);
}

TEST(Arenas, HeapsOfOneArenaAndFullOnesSideBySide) {
  Words words;
  words.heap(kHeapAt, kHeapAt + 0x30, 0, kHeapMax);                                // full
  words.heap(kHeapAt + kHeapMax, kHeapAt + 0x30, kHeapAt, 0x40000);               // the same arena's second
  words.heap(kHeapAt + 2 * kHeapMax, kHeapAt + 2 * kHeapMax + 0x30, 0, 0x21000);  // another arena
  words.heap(kHeapAt + 4 * kHeapMax, 0x1234, 0, 0x21000);                         // the shape, but not the contents
  const std::vector<Mapping> mappings = {
      mapping(kHeapAt, kHeapAt + kHeapMax + 0x40000), mapping(kHeapAt + kHeapMax + 0x40000, kHeapAt + 2 * kHeapMax, "---p"),
      mapping(kHeapAt + 2 * kHeapMax, kHeapAt + 2 * kHeapMax + 0x21000), mapping(kHeapAt + 2 * kHeapMax + 0x21000, kHeapAt + 3 * kHeapMax, "---p"),
      mapping(kHeapAt + 4 * kHeapMax, kHeapAt + 4 * kHeapMax + 0x21000), mapping(kHeapAt + 4 * kHeapMax + 0x21000, kHeapAt + 5 * kHeapMax, "---p")};
  const auto heaps = find_heaps(mappings, words.reader());
  ASSERT_EQ(heaps.size(), 3u);
  EXPECT_EQ(heaps[1].arena, heaps[0].arena);
  EXPECT_NE(heaps[2].arena, heaps[0].arena);
  const auto places = lay_out(mappings, {{}, {}, heaps, {}});
  EXPECT_EQ(places[0].arena, 1);
  EXPECT_EQ(places[0].kind, Kind::arena);
  EXPECT_EQ(places[1].kind, Kind::reserved);
  EXPECT_EQ(places[1].arena, 1);
  EXPECT_EQ(places[2].arena, 2);
  EXPECT_EQ(places[4].arena, 0);
  EXPECT_EQ(places[4].kind, Kind::anonymous);
}

TEST(Layout, BssEndsWithTheFile) {
  const std::string lib = "/usr/lib/libx.so";
  // The data's offset is 0 too: a small file's only page holds all.
  const std::vector<Mapping> mappings = {mapping(0x10000, 0x12000, "r-xp", lib), mapping(0x12000, 0x13000, "rw-p", lib), mapping(0x13000, 0x15000)};
  const auto label = [&](std::optional<std::uint64_t> bytes) { return lay_out(mappings, {{}, {}, {}, [bytes](const std::string&) { return bytes; }})[2].label; };
  EXPECT_EQ(label(0x5000), "libx.so: bss");
  EXPECT_EQ(label(0x4000), "anonymous");  // it lies behind the bss, or is merged with it
  EXPECT_EQ(label(std::nullopt), "anonymous");
}

TEST(Layout, StacksByTheirPointers) {
  std::vector<Mapping> mappings = {mapping(0x1000, 0x2000, "---p"), mapping(0x2000, 0x9000), mapping(0xa000, 0xb000), mapping(0xc000, 0xd000, "rw-p", "[stack]")};
  const auto places = lay_out(mappings, {{}, {{7, "worker", 0x8ff0}, {8, "running", 0}, {9, "lost", 0x9800}}, {}, {}});
  EXPECT_EQ(places[1].thread, 7);
  EXPECT_EQ(places[1].label, "stack of thread 7 (worker)");
  EXPECT_EQ(places[0].label, "guard of the next");
  EXPECT_EQ(places[2].kind, Kind::anonymous);
  EXPECT_EQ(places[3].kind, Kind::stack);
}

TEST(ImageBytes, OfThisProgram) {
  const auto proc = Proc::open();
  ASSERT_TRUE(proc);
  const auto view = view_process(*proc, getpid());
  ASSERT_TRUE(view) << view.error().message();
  const auto bytes = image_bytes(*proc, getpid(), view->executable);
  ASSERT_TRUE(bytes);
  std::uint64_t first = 0, last = 0;
  for (const Place& place : view->places) {
    if (place.mapping.path != view->executable) continue;
    if (first == 0) first = place.mapping.start;
    last = place.mapping.end;
  }
  EXPECT_GE(first + *bytes, last);
  EXPECT_FALSE(image_bytes(*proc, getpid(), "/etc/passwd"));
  EXPECT_FALSE(image_bytes(*proc, getpid(), "/nowhere"));
}

// Whatever happens to mappings between two looks, the changes sum to what became of the whole.
TEST(MappingChange, SumsAreKept) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    std::mt19937 random(seed);
    const auto some = [&random] {
      std::vector<Place> places;
      std::uint64_t at = 0;
      while (at < 64) {
        const std::uint64_t start = at + random() % 3, end = start + 1 + random() % 6;
        Place place;
        place.mapping = mapping(start * 4096, end * 4096);
        place.mapping.rss_bytes = random() % (end - start + 1) * 4096;
        places.push_back(place);
        at = end;
      }
      return places;
    };
    const auto before = some(), after = some();
    std::int64_t rise = 0;
    std::uint64_t last = 0;
    for (const MappingChange& change : compare_mappings(before, after)) {
      rise += change.rss_rise_bytes();
      EXPECT_GE(change.place.mapping.start, last) << "seed " << seed;
      last = change.place.mapping.start;
      EXPECT_FALSE(change.appeared && change.rss_before_bytes > 0);
    }
    EXPECT_EQ(rise, static_cast<std::int64_t>(sum_of(after).rss_bytes) - static_cast<std::int64_t>(sum_of(before).rss_bytes)) << "seed " << seed;
  }
}

TEST(Printable, NothingMovesTheCursor) {
  EXPECT_EQ(printable("naïve 日本"), "naïve 日本");
  EXPECT_EQ(printable("\033[31mred\n\x7f"), "?[31mred??");
  EXPECT_EQ(printable("\xff\xc0\x80\xed\xa0\x80"), "??????");
  EXPECT_EQ(printable("\xc2\x9b"), "?");  // a control character of two bytes: CSI
  EXPECT_EQ(printable("\xe2\x82"), "??");
}

TEST(Residency, EqualsWhatIsTouched) {
  constexpr std::size_t kPages = 100;
  const auto proc = Proc::open();
  auto* const memory = static_cast<char*>(std::aligned_alloc(4096, kPages * 4096 * 2));
  for (std::size_t i = 0; i < 30; ++i) const_cast<volatile char*>(memory)[i * 4096] = 1;
  Pagemap pagemap;
  ASSERT_EQ(Pagemap::open(*proc, getpid(), pagemap), Access::ok);
  const auto at = reinterpret_cast<std::uint64_t>(memory);
  const Residency residency = pagemap.residency(at, at + kPages * 4096, 8);
  ASSERT_EQ(residency.cells.size(), 8u);
  EXPECT_EQ(residency.present_pages, 30u);
  EXPECT_EQ(residency_bar(residency), "##+.....");  // 12 and 13 pages a cell
  EXPECT_TRUE(pagemap.present(at));
  EXPECT_FALSE(pagemap.present(at + 99 * 4096));
  std::free(memory);
  // Beyond what is looked at whole: cells of a reservation of 1 TiB.
  const Residency large = pagemap.residency(0x100000000000, 0x110000000000, 10);
  EXPECT_TRUE(large.sampled);
}

class FakeProc : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / fmt::format("faultline-proc-{}", getpid());
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void put(Pid pid, const std::string& stat) {
    std::filesystem::create_directories(root_ / std::to_string(pid));
    // A new file, as a new process is: what was open of the old one stays as it was.
    std::filesystem::remove(root_ / std::to_string(pid) / "stat");
    std::ofstream(root_ / std::to_string(pid) / "stat") << stat;
  }
  void change(Pid pid, const std::string& stat) { std::ofstream(root_ / std::to_string(pid) / "stat") << stat; }
  std::filesystem::path root_;
};

TEST_F(FakeProc, RisesOfManyThatComeAndGo) {
  for (Pid pid = 1; pid <= 300; ++pid) put(pid, stat_line_of(pid, fmt::format("p) {}", pid), 100, 1, 5));
  std::filesystem::create_directories(root_ / "self");
  std::filesystem::create_directories(root_ / "2000");  // gone between listing and reading
  auto proc = Proc::open(root_);
  ASSERT_TRUE(proc);
  ProcessTable table(*proc);
  table.sample();
  ASSERT_EQ(table.rows().size(), 300u);
  EXPECT_FALSE(table.rows()[0].has_rise);
  EXPECT_EQ(table.seconds(), 0);
  change(7, stat_line_of(7, "busy", 150, 3, 5));
  std::filesystem::remove_all(root_ / "8");
  put(3000, stat_line_of(3000, "born", 60, 0, 900));
  table.sample();
  ASSERT_EQ(table.rows().size(), 300u);
  EXPECT_GT(table.seconds(), 0);
  TopRows top;
  top.arrange(table, TopOrder::faults, true);
  ASSERT_EQ(top.rows()[0]->stat.pid, 3000);  // all its faults were since then
  EXPECT_EQ(top.rows()[0]->minor_rise, 60u);
  EXPECT_EQ(top.rows()[1]->stat.pid, 7);
  EXPECT_EQ(top.rows()[1]->minor_rise, 50u);
  EXPECT_EQ(top.rows()[1]->major_rise, 2u);
  EXPECT_EQ(top.rows()[2]->stat.pid, 1);  // of equal ones the lowest
  top.arrange(table, TopOrder::major, true);
  EXPECT_EQ(top.rows()[0]->stat.pid, 7);
}

TEST_F(FakeProc, APidUsedAgainIsAnotherProcess) {
  put(10, stat_line_of(10, "old", 1000, 0, 5));
  put(11, stat_line_of(11, "kworker", 0, 0, 5, 0x200000));
  auto proc = Proc::open(root_);
  ProcessTable table(*proc);
  table.sample();
  change(10, stat_line_of(10, "new", 30, 0, 77));
  table.sample();
  EXPECT_EQ(table.rows()[0].minor_rise, 30u);
  TopRows top;
  top.arrange(table, TopOrder::pid, false);
  EXPECT_EQ(top.rows().size(), 1u);
  EXPECT_EQ(top.sums().kernel_threads, 1u);
}

TEST(Selection, StaysOnTheScreen) {
  std::mt19937 random(3);
  Selection selection;
  for (int i = 0; i < 5000; ++i) {
    const std::size_t rows = random() % 60, shown = random() % 30;
    selection.move(static_cast<std::ptrdiff_t>(random() % 41) - 20, rows);
    selection.fit(rows, shown);
    if (rows > 0 && shown > 0) {
      EXPECT_LT(selection.chosen, rows);
      EXPECT_GE(selection.chosen, selection.first);
      EXPECT_LT(selection.chosen, selection.first + shown);
    }
  }
}

TEST(Proc, WhereThereIsNone) {
  EXPECT_FALSE(Proc::open("/nowhere"));
  const auto proc = Proc::open();
  std::string text;
  EXPECT_EQ(proc->read(999999999, "stat", text), Access::gone);
  EXPECT_FALSE(view_process(*proc, 999999999));
}

}  // namespace
}  // namespace faultline::live
