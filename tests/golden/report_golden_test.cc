// What the report prints, letter for letter, for a fixed recording; and that it renders whatever a recording lacks.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/json.h"
#include "report/terminal.h"
#include "support/synthetic_recording.h"

namespace faultline::report {
namespace {

using testing::SyntheticRecording;
using trace::CallKind;

constexpr std::uint64_t kHeap = 0x555555559000, kMapping = 0x7e0000000000;

// Three phases: a small long-lived block, an mmap storm, and a bulk phase whose memory a late small block pins.
std::unique_ptr<SyntheticRecording> example() {
  auto recording = std::make_unique<SyntheticRecording>();
  recording->meta_data.command = {"program", "--all"};
  recording->meta_data.kernel_release = "6.1.0";
  recording->meta_data.machine = "Example CPU";
  recording->info.exe = "/bin/program";
  recording->info.rss_peak_bytes = 9 << 20;
  recording->info.rss_end_bytes = 5 << 20;
  recording->info.unattributed_minor = 3;
  const trace::StackId small = recording->stack({0x555555554111, 0x555555554999});
  const trace::StackId storm = recording->stack({SyntheticRecording::kLibc + 0x500, 0x555555554222, 0x555555554999});
  const trace::StackId bulk = recording->stack({0x555555554333, 0x555555554888, 0x555555554999});
  const auto move_break = [&](std::uint64_t bytes) {
    recording->call(CallKind::brk, kHeap + bytes, 0, 0, static_cast<std::int64_t>(kHeap + bytes));
  };
  const auto touch = [&](std::uint64_t first, std::uint64_t pages, std::uint64_t ip) {
    for (std::uint64_t page = 0; page < pages; ++page) {
      recording->fault(recording->now_ns + 600 + page, first + page * 4096);
      recording->fault_list.back().ip = ip;
    }
    recording->now_ns += 1000 + pages;
  };
  recording->malloc(100, kHeap + 0x10).stack = small;
  move_break(8 << 20);
  for (int i = 0; i < 300; ++i) {
    trace::HeapEvent& event = recording->malloc(1 << 20, kMapping + 16);
    event.stack = storm;
    event.flags = trace::kChunkMmapped;
    recording->call(CallKind::mmap, 0, (1 << 20) + 4096, 3, static_cast<std::int64_t>(kMapping));
    recording->call_list.back().args[3] = 0x22;
    touch(kMapping + 0x40, 256, 0x555555554250);
    recording->free(kMapping + 16).flags = trace::kChunkMmapped;
    recording->call(CallKind::munmap, kMapping, (1 << 20) + 4096, 0, 0);
  }
  recording->malloc(4 << 20, kHeap + 0x80).stack = bulk;
  touch(kHeap + 0x80, 1024, 0xffffffff81000000);
  recording->malloc(24, kHeap + 0x400090).stack = small;
  recording->free(kHeap + 0x80);
  recording->fault(recording->now_ns + 700, SyntheticRecording::kRecorder + 8);
  recording->fault(recording->now_ns + 800, 0x7ffffffdf000);
  return recording;
}

// Ledgers are the twin's answer to a recording of a kernel; these stand for one.
analyze::LedgerSeries ledgers() {
  analyze::LedgerSeries series;
  series.peak_ns = 1'500'000;
  series.end_ns = 2'000'000;
  for (const char* when : {"peak", "end"}) {
    analyze::Ledger& ledger = series.ledgers.emplace_back();
    const bool peak = series.ledgers.size() == 1;
    ledger.when = when;
    ledger.time_ns = peak ? series.peak_ns : series.end_ns;
    ledger.there = true;
    ledger[analyze::LedgerPart::heap_live] = peak ? 4 << 20 : 4096;
    ledger[analyze::LedgerPart::heap_pinned] = peak ? 0 : 4000 << 10;
    ledger[analyze::LedgerPart::file_clean] = 2 << 20;
    ledger[analyze::LedgerPart::recorder] = 1 << 20;
    ledger.measured = analyze::LedgerMeasurement{ledger.time_ns + (peak ? 1000 : 0), ledger.sum_bytes() + (peak ? 0 : 8192), ledger.sum_bytes()};
    ledger.live_untouched_bytes = 12345;
    ledger.page_tables_bytes = 65536;
    ledger.sites.push_back({{.function = "allocate", .file = "a.cc", .line = 7, .module = "program", .via = {}, .callers = {}}, 3, ledger[analyze::LedgerPart::heap_live], 12345});
    ledger.files.push_back({"/lib/libc.so.6", 2 << 20, 0, 0, 0});
  }
  return series;
}

Report report_of(SyntheticRecording& recording) {
  Report report = build_report(recording, recording.info, "example.fl", 10);
  report.ledger = ledgers();
  return report;
}

std::string render(SyntheticRecording& recording) { return render_terminal(report_of(recording), {.width = 100, .colour = false}); }

void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(GOLDEN_FOLDER) + "/" + name;
  if (std::getenv("FAULTLINE_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(text, expected.str()) << path;
}

TEST(ReportGolden, Terminal) { expect_golden("report.txt", render(*example())); }

TEST(ReportGolden, NarrowAndColoured) {
  const auto recording = example();
  expect_golden("report_80_colour.txt", render_terminal(report_of(*recording), {.width = 60, .colour = true}));
}

TEST(ReportGolden, Json) {
  const std::string text = render_json(report_of(*example()));
  EXPECT_TRUE(nlohmann::json::accept(text));
  expect_golden("report.json", text);
}

TEST(ReportText, NoLineIsWiderThanThePage) {
  for (const int width : {60, 80, 97, 120, 200}) {
    std::istringstream lines(render_terminal(report_of(*example()), {.width = width, .colour = false}));
    for (std::string line; std::getline(lines, line);) {
      // Paragraphs break at blanks only: a word longer than the line is clipped.
      EXPECT_LE(columns(line), static_cast<std::size_t>(std::clamp(width, 80, 120))) << line;
    }
  }
}

TEST(ReportText, ClipCountsCodePoints) {
  EXPECT_EQ(clip("1.62 µs", 7), "1.62 µs");
  EXPECT_EQ(clip("1.62 µs later", 8), "1.62 µs…");
  EXPECT_EQ(clip("µµµµ", 3), "µµ…");
}

void expect_one_line(const std::string& text, const std::string& needle) {
  std::istringstream lines(text);
  int found = 0;
  for (std::string line; std::getline(lines, line);) found += line.find("missing: ") != line.npos && line.find(needle) != line.npos;
  EXPECT_EQ(found, 1) << needle << "\n" << text;
}

TEST(ReportMissing, Faults) {
  const auto recording = example();
  recording->fault_list.clear();
  recording->meta_data.faults_recorded = false;
  expect_one_line(render(*recording), "page faults were not recorded");
  EXPECT_NE(render(*recording).find("Where memory goes"), std::string::npos);
}

TEST(ReportMissing, TheRecordersOwnReasonIsEnough) {
  const auto recording = example();
  recording->fault_list.clear();
  recording->meta_data.faults_recorded = false;
  recording->meta_data.missing = {"page faults: perf_event_paranoid is 4"};
  const std::string text = render(*recording);
  expect_one_line(text, "perf_event_paranoid is 4");
  EXPECT_EQ(text.find("page faults were not recorded: nothing"), std::string::npos);
}

TEST(ReportMissing, ExitRecord) {
  const auto recording = example();
  recording->info.exit_seen = false;
  expect_one_line(render(*recording), "ended before it could tell");
  EXPECT_TRUE(nlohmann::json::parse(render_json(report_of(*recording)))["process"]["wait_status"].is_null());
}

TEST(ReportMissing, DamagedTail) {
  const auto recording = example();
  recording->damage_line = "cut at byte 4711: block 12 is incomplete";
  expect_one_line(render(*recording), "cut at byte 4711");
}

TEST(ReportMissing, ForeignAllocator) {
  const auto recording = example();
  recording->info.allocator = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
  recording->info.glibc_version.clear();
  for (trace::HeapEvent& event : recording->events) event.flags = trace::kForeignHeader;
  const std::string text = render(*recording);
  expect_one_line(text, "libjemalloc.so.2");
  EXPECT_NE(text.find("not known: the allocator is not glibc's"), std::string::npos);
  EXPECT_TRUE(nlohmann::json::parse(render_json(report_of(*recording)))["retention"].is_null());
}

TEST(ReportMissing, NothingAtAll) {
  SyntheticRecording recording;
  recording.info = {};
  recording.info.pid = 1;
  recording.meta_data = {};
  const std::string text = render(recording);
  EXPECT_NE(text.find("no allocations were recorded"), std::string::npos);
  EXPECT_EQ(text.find("nan"), std::string::npos);
  EXPECT_EQ(text.find("inf "), std::string::npos);
}

}  // namespace
}  // namespace faultline::report
