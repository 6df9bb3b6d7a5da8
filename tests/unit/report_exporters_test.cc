// Exporters on what no real program has at once: names that mean something to the format, bytes that are no UTF-8, numbers that are not known.
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "perfetto.pb.h"
#include "pprof.pb.h"
#include "report/exporter.h"
#include "support/synthetic_recording.h"

namespace faultline::report {
namespace {

using analyze::Sample;

class Text final : public ExportOutput {
 public:
  void write(std::string_view bytes) override { text += bytes; }
  std::string text;
};

const ExporterDescriptor& exporter(std::string_view name) {
  const auto& all = Registry<ExporterDescriptor>::instance().entries();
  return *std::find_if(all.begin(), all.end(), [name](const ExporterDescriptor& one) { return name == one.name; });
}

const std::string kNasty = "a;b \"c\", d\\e\nf\xff\xfe g";

analyze::Profile nasty() {
  analyze::Profile profile;
  profile.command = "run " + kNasty;
  profile.exe = kNasty;
  profile.pid = 7;
  profile.end_ns = 5'000'000;
  profile.frames = {{kNasty, kNasty, kNasty, 12, 0x1000}, {"main", "", "", 0, 0x2000}, {"[stack]", "", "", 0, 0}};
  profile.known.fill(true);
  analyze::ProfileStack first, second;
  first.frames = {0, 1};
  first.values = {1000, 10, 200, 2, 300, 100, 5, 1};
  second.frames = {0, 2};
  second.values[static_cast<std::size_t>(Sample::page_faults)] = 3;
  profile.stacks = {first, second};
  for (std::size_t i = 0; i < analyze::kSamples; ++i) profile.totals[i] = first.values[i] + second.values[i];
  profile.rss = {{1000, 4096}, {2000, 8192}};
  profile.faults = {{1500, 5, 0}, {2500, 7, 1}};
  return profile;
}

std::string exported(std::string_view format, const analyze::Profile& profile, Sample sample = Sample::alloc_space) {
  testing::SyntheticRecording recording;
  Text output;
  exporter(format).run({profile, recording, recording.info, sample}, output);
  return output.text;
}

std::string unzipped(const std::string& data) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
  std::string plain(1 << 20, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  plain.resize(stream.total_out);
  inflateEnd(&stream);
  return plain;
}

TEST(Exporters, EachFileIsRegistered) { EXPECT_EQ(Registry<ExporterDescriptor>::instance().entries().size(), std::size_t{EXPORTER_FILES}); }

TEST(Exporters, NothingAtAll) {
  for (const ExporterDescriptor& one : Registry<ExporterDescriptor>::instance().entries()) exported(one.name, {});
}

TEST(Exporters, FoldedHasALineAStack) {
  EXPECT_EQ(exported("folded", nasty(), Sample::page_faults), "main;a:b \"c\", d\\e f\xff\xfe g 5\n[stack];a:b \"c\", d\\e f\xff\xfe g 3\n");
  EXPECT_EQ(exported("folded", nasty(), Sample::inuse_objects), "main;a:b \"c\", d\\e f\xff\xfe g 2\n");
}

TEST(Exporters, CsvQuotes) {
  const std::string csv = exported("csv", nasty());
  EXPECT_NE(csv.find("\"a;b \"\"c\"\", d\\e\nf\xff\xfe g\""), csv.npos);
  EXPECT_TRUE(csv.ends_with(",0,0,0,0,0,0,3,0\r\n"));
}

TEST(Exporters, OpenMetricsEscapes) {
  const std::string text = exported("openmetrics", nasty());
  EXPECT_NE(text.find("a;b \\\"c\\\", d\\\\e\\nf\xff\xfe g"), text.npos);
  EXPECT_TRUE(text.ends_with("# EOF\n"));
}

TEST(Exporters, JsonIsJson) {
  for (const char* format : {"speedscope", "firefox"}) {
    const auto json = nlohmann::json::parse(exported(format, nasty()), nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << format;
  }
  const auto speedscope = nlohmann::json::parse(exported("speedscope", nasty()));
  EXPECT_EQ(speedscope["profiles"].size(), analyze::kSamples);
  const auto& faults = speedscope["profiles"][6];
  EXPECT_EQ(faults["name"], "page_faults");
  EXPECT_EQ(faults["endValue"], 8);
  EXPECT_EQ(faults["samples"], nlohmann::json::parse("[[1, 0], [2, 0]]"));
  EXPECT_EQ(faults["weights"], nlohmann::json::parse("[5, 3]"));
}

TEST(Exporters, WhatIsNotKnownIsLeftOut) {
  analyze::Profile profile = nasty();
  profile.known[static_cast<std::size_t>(Sample::page_faults)] = profile.known[static_cast<std::size_t>(Sample::major_faults)] = false;
  EXPECT_EQ(nlohmann::json::parse(exported("speedscope", profile))["profiles"].size(), analyze::kSamples - 2);
  EXPECT_EQ(nlohmann::json::parse(exported("firefox", profile))["threads"].size(), analyze::kSamples - 2);
  EXPECT_EQ(exported("openmetrics", profile).find("page_faults"), std::string::npos);
  pprof::Profile pprof;
  ASSERT_TRUE(pprof.ParseFromString(unzipped(exported("pprof", profile))));
  EXPECT_EQ(pprof.sample_type_size(), static_cast<int>(analyze::kSamples) - 2);
  EXPECT_EQ(pprof.sample(0).value_size(), static_cast<int>(analyze::kSamples) - 2);
}

TEST(Exporters, PprofIsWhole) {
  pprof::Profile profile;
  ASSERT_TRUE(profile.ParseFromString(unzipped(exported("pprof", nasty(), Sample::page_faults))));
  EXPECT_EQ(profile.string_table(0), "");
  EXPECT_EQ(profile.string_table(static_cast<int>(profile.default_sample_type())), "page_faults");
  ASSERT_EQ(profile.sample_size(), 2);
  EXPECT_EQ(profile.sample(0).location_id(0), 1u);
  EXPECT_EQ(profile.sample(0).location_id(1), 2u);
  const auto& function = profile.function(static_cast<int>(profile.location(0).line(0).function_id()) - 1);
  EXPECT_EQ(profile.string_table(static_cast<int>(function.name())), "a;b \"c\", d\\e\nf?? g");
  EXPECT_EQ(profile.location(0).line(0).line(), 12);
}

TEST(Exporters, PerfettoCounts) {
  perfetto::Trace trace;
  ASSERT_TRUE(trace.ParseFromString(exported("perfetto", nasty())));
  std::vector<std::int64_t> values;
  for (const auto& packet : trace.packet()) {
    if (packet.has_track_event()) values.push_back(packet.track_event().counter_value());
  }
  EXPECT_EQ(values, (std::vector<std::int64_t>{4096, 8192, 5, 0, 7, 1}));
}

TEST(Exporters, HeaptrackFollowsEachBlock) {
  testing::SyntheticRecording recording;
  const trace::StackId site = recording.stack({testing::SyntheticRecording::kProgram + 0x10, testing::SyntheticRecording::kProgram + 0x20});
  recording.malloc(100, 0x5000).stack = site;
  recording.malloc(100, 0x6000).stack = site;
  recording.free(0x5000);
  recording.add(trace::HeapOp::realloc, 200, 0x6000, 0x7000).stack = site;
  recording.free(0x9999 * 8);  // nobody saw it allocated
  recording.malloc(16, 0x7000).stack = site;  // its free was not seen
  Text output;
  analyze::Profile profile = nasty();
  profile.rss.clear();
  exporter("heaptrack").run({profile, recording, recording.info, Sample::alloc_space}, output);
  std::string events;
  std::size_t begin = 0;
  for (std::size_t end; (end = output.text.find('\n', begin)) != output.text.npos; begin = end + 1) {
    const std::string line = output.text.substr(begin, end - begin);
    if (line[0] == '+' || line[0] == '-' || line[0] == 'a' || line[0] == 't') events += line + "; ";
  }
  EXPECT_EQ(events, "t 1 0; t 2 1; a 64 2; + 0; + 0; - 0; - 0; a c8 2; + 1; - 1; a 10 2; + 2; ");
}

}  // namespace
}  // namespace faultline::report
