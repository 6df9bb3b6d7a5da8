// Firefox Profiler's JSON, the format its own importers for other tools use ("processed profile", preprocessedProfileVersion 47): a thread per
// number that is known, its samples weighted by it; RSS and faults as counters.
#include <nlohmann/json.hpp>

#include <map>
#include <unordered_map>

#include "report/exporter.h"

namespace faultline::report {
namespace {

using analyze::Sample;
using Json = nlohmann::ordered_json;

class Thread {
 public:
  Thread(const analyze::Profile& profile, Sample sample, std::uint64_t tid) : profile_(profile), sample_(sample), tid_(tid) {
    for (const analyze::ProfileStack& stack : profile.stacks) {
      if (stack.value(sample) > 0) add(stack);
    }
  }

  Json json() const {
    const std::size_t frames = frame_of_.size(), samples = weights_.size();
    const Json nothing(std::vector<Json>(frames, nullptr));
    const double end = ms(profile_.end_ns);
    return {{"processType", "default"},
            {"processName", profile_.command},
            {"processStartupTime", ms(profile_.start_ns)},
            {"processShutdownTime", end},
            {"registerTime", ms(profile_.start_ns)},
            {"unregisterTime", nullptr},
            {"pausedRanges", Json::array()},
            {"name", sample_name(sample_)},
            {"isMainThread", tid_ == 0},
            {"pid", std::to_string(profile_.pid)},
            {"tid", tid_},
            {"samples", {{"weightType", sample_is_bytes(sample_) ? "bytes" : "samples"}, {"weight", weights_}, {"stack", sample_stacks_},
                         {"time", std::vector<double>(samples, ms(profile_.start_ns))}, {"length", samples}}},
            {"markers", {{"data", Json::array()}, {"name", Json::array()}, {"startTime", Json::array()}, {"endTime", Json::array()}, {"phase", Json::array()},
                         {"category", Json::array()}, {"length", 0}}},
            {"stackTable", {{"frame", stack_frames_}, {"category", std::vector<int>(stack_frames_.size(), 0)}, {"subcategory", std::vector<int>(stack_frames_.size(), 0)},
                            {"prefix", prefixes_}, {"length", stack_frames_.size()}}},
            {"frameTable", {{"address", std::vector<int>(frames, -1)}, {"inlineDepth", std::vector<int>(frames, 0)}, {"category", nothing}, {"subcategory", nothing},
                            {"func", functions_of_frames()}, {"nativeSymbol", nothing}, {"innerWindowID", nothing}, {"implementation", nothing},
                            {"line", lines_}, {"column", nothing}, {"length", frames}}},
            {"funcTable", {{"isJS", std::vector<bool>(frames, false)}, {"relevantForJS", std::vector<bool>(frames, false)}, {"name", names_},
                           {"resource", std::vector<int>(frames, -1)}, {"fileName", files_}, {"lineNumber", nothing}, {"columnNumber", nothing}, {"length", frames}}},
            {"resourceTable", {{"lib", Json::array()}, {"name", Json::array()}, {"host", Json::array()}, {"type", Json::array()}, {"length", 0}}},
            {"nativeSymbols", {{"libIndex", Json::array()}, {"address", Json::array()}, {"name", Json::array()}, {"functionSize", Json::array()}, {"length", 0}}},
            {"stringArray", strings_}};
  }

 private:
  const analyze::Profile& profile_;
  Sample sample_;
  std::uint64_t tid_;
  std::vector<std::string> strings_;
  std::unordered_map<std::string, std::size_t> string_of_;
  std::unordered_map<std::uint32_t, std::size_t> frame_of_;
  std::vector<std::size_t> names_, stack_frames_, sample_stacks_;
  std::vector<Json> files_, lines_, prefixes_;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> stack_of_;  // (prefix + 1, frame)
  std::vector<std::uint64_t> weights_;

  static double ms(std::uint64_t ns) { return static_cast<double>(ns) / 1e6; }

  std::size_t string(const std::string& text) {
    const auto [at, fresh] = string_of_.try_emplace(text, strings_.size());
    if (fresh) strings_.push_back(text);
    return at->second;
  }

  // A function per frame: lines of one function are told apart by the frame's.
  std::size_t frame(std::uint32_t index) {
    const auto [at, fresh] = frame_of_.try_emplace(index, frame_of_.size());
    if (!fresh) return at->second;
    const analyze::ProfileFrame& from = profile_.frames[index];
    names_.push_back(string(from.function));
    files_.push_back(from.file.empty() ? Json(nullptr) : Json(string(from.file)));
    lines_.push_back(from.line > 0 ? Json(from.line) : Json(nullptr));
    return at->second;
  }

  std::vector<std::size_t> functions_of_frames() const {
    std::vector<std::size_t> functions(frame_of_.size());
    for (std::size_t i = 0; i < functions.size(); ++i) functions[i] = i;
    return functions;
  }

  void add(const analyze::ProfileStack& from) {
    std::size_t prefix = 0;
    for (auto one = from.frames.rbegin(); one != from.frames.rend(); ++one) {
      const std::size_t at = frame(*one);
      const auto [stack, fresh] = stack_of_.try_emplace({prefix, at}, stack_frames_.size());
      if (fresh) {
        stack_frames_.push_back(at);
        prefixes_.push_back(prefix > 0 ? Json(prefix - 1) : Json(nullptr));
      }
      prefix = stack->second + 1;
    }
    sample_stacks_.push_back(prefix - 1);
    weights_.push_back(from.value(sample_));
  }
};

// Counts are differences from one sample to the next.
Json counter(const analyze::Profile& profile, const char* name, const char* category, const std::vector<std::pair<std::uint64_t, std::uint64_t>>& values) {
  Json times = Json::array(), counts = Json::array();
  std::int64_t last = 0;
  for (const auto& [time_ns, value] : values) {
    times.push_back(static_cast<double>(time_ns) / 1e6);
    counts.push_back(static_cast<std::int64_t>(value) - last);
    last = static_cast<std::int64_t>(value);
  }
  const std::size_t length = times.size();
  return {{"name", name}, {"category", category}, {"description", name}, {"pid", std::to_string(profile.pid)}, {"mainThreadIndex", 0},
          {"samples", {{"time", std::move(times)}, {"count", std::move(counts)}, {"length", length}}}};
}

void run(const ExportInput& input, ExportOutput& output) {
  const analyze::Profile& profile = input.profile;
  Json threads = Json::array(), counters = Json::array();
  for (std::size_t i = 0; i < analyze::kSamples; ++i) {
    if (profile.known[i]) threads.push_back(Thread(profile, static_cast<Sample>(i), threads.size()).json());
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> rss, faults;
  for (const trace::RssSample& sample : profile.rss) rss.emplace_back(sample.time_ns, sample.rss_bytes);
  for (const analyze::FaultsUntil& until : profile.faults) faults.emplace_back(until.time_ns, until.minor + until.major);
  if (!rss.empty()) counters.push_back(counter(profile, "RSS", "Memory", rss));
  if (!faults.empty()) counters.push_back(counter(profile, "page faults", "Other", faults));
  const Json file = {
      {"meta", {{"interval", 1}, {"startTime", 0}, {"processType", 0}, {"product", profile.command}, {"stackwalk", 1}, {"version", 27}, {"preprocessedProfileVersion", 47},
                {"symbolicated", true}, {"markerSchema", Json::array()}, {"importedFrom", "faultline " + profile.tool_version}, {"usesOnlyOneStackType", true},
                {"categories", Json::array({{{"name", "Other"}, {"color", "grey"}, {"subcategories", Json::array({"Other"})}}})}}},
      {"libs", Json::array()},
      {"threads", std::move(threads)},
      {"counters", std::move(counters)}};
  output.write(file.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

FL_REGISTER_EXPORTER("firefox", "firefox.json", "stacks with all numbers, RSS and faults over time: profiler.firefox.com", run);

}  // namespace
}  // namespace faultline::report
