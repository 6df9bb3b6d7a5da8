// speedscope's own file format (file-format-schema.json, "sampled" profiles): one profile per number that is known.
#include <nlohmann/json.hpp>

#include "report/exporter.h"

namespace faultline::report {
namespace {

using Json = nlohmann::ordered_json;

void run(const ExportInput& input, ExportOutput& output) {
  const analyze::Profile& profile = input.profile;
  Json frames = Json::array();
  for (const analyze::ProfileFrame& frame : profile.frames) {
    Json one = {{"name", frame.function}};
    if (!frame.file.empty()) one["file"] = frame.file;
    if (frame.line > 0) one["line"] = frame.line;
    frames.push_back(std::move(one));
  }
  Json profiles = Json::array();
  for (std::size_t i = 0; i < analyze::kSamples; ++i) {
    const auto sample = static_cast<analyze::Sample>(i);
    if (!profile.holds(sample)) continue;
    Json samples = Json::array(), weights = Json::array();
    for (const analyze::ProfileStack& stack : profile.stacks) {
      if (stack.value(sample) == 0) continue;
      samples.push_back(std::vector<std::uint32_t>(stack.frames.rbegin(), stack.frames.rend()));
      weights.push_back(stack.value(sample));
    }
    profiles.push_back({{"type", "sampled"},
                        {"name", sample_name(sample)},
                        {"unit", sample_is_bytes(sample) ? "bytes" : "none"},
                        {"startValue", 0},
                        {"endValue", profile.total(sample)},
                        {"samples", std::move(samples)},
                        {"weights", std::move(weights)}});
  }
  const Json file = {{"$schema", "https://www.speedscope.app/file-format-schema.json"},
                     {"name", profile.command},
                     {"exporter", "faultline " + profile.tool_version},
                     {"activeProfileIndex", 0},
                     {"shared", {{"frames", std::move(frames)}}},
                     {"profiles", std::move(profiles)}};
  output.write(file.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

FL_REGISTER_EXPORTER("speedscope", "speedscope.json", "stacks with all numbers: speedscope.app", run);

}  // namespace
}  // namespace faultline::report
