#include "lab/effects.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "lab/quantity.h"

namespace faultline::lab {

namespace {

constexpr std::size_t kCallsShown = 8;
constexpr std::size_t kRunsShown = 8;
constexpr std::size_t kNotesShown = 12;  // of a repeated command

std::string text_of(const FaultRun& run) {
  const std::string kind = run.major ? "major fault" : "fault";
  if (run.count == 1) return fmt::format("{}: page {:#x}, {}", kind, run.first, name_of(run.path));
  return fmt::format("{}s: {}, pages {:#x} to {:#x}, {}", kind, run.count, run.first, run.last, name_of(run.path));
}

void add_some(std::vector<std::string>& lines, std::span<const std::string> more) {
  const auto shown = more.first(std::min(more.size(), kNotesShown));
  lines.insert(lines.end(), shown.begin(), shown.end());
  if (more.size() > shown.size()) lines.push_back(fmt::format("... and {}", count_text(more.size() - shown.size(), "more line")));
}

}  // namespace

void Effects::call(const std::string& name, std::string text) {
  ++calls_;
  ++counts_[name];
  if (call_texts_.size() < kCallsShown) call_texts_.push_back(std::move(text));
}

void Effects::fault(std::uint64_t address, mm::FaultPath path, bool major) {
  const std::uint64_t page = page_floor(address);
  ++faults_;
  ++by_path_[static_cast<std::size_t>(path)];
  if (!runs_.empty() && faults_not_shown_ == 0) {
    FaultRun& run = runs_.back();
    if (run.path == path && run.major == major && run.last + kPageSize == page) {
      run.last = page;
      ++run.count;
      return;
    }
  }
  if (runs_.size() < kRunsShown) {
    runs_.push_back({page, page, path, major, 1});
  } else {
    ++faults_not_shown_;
  }
}

void Effects::kernel_faults(std::uint64_t count, mm::FaultPath path) {
  faults_ += count;
  by_path_[static_cast<std::size_t>(path)] += count;
  kernel_texts_.push_back(fmt::format("{} taken by the kernel on the way: {}", count_text(count, "fault"), name_of(path)));
}

std::uint64_t Effects::calls(const std::string& name) const {
  const auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second;
}

std::vector<std::string> Effects::to_lines() const {
  std::vector<std::string> lines;
  add_some(lines, std::span(lines_).first(first_notes_));
  for (const std::string& text : call_texts_) lines.push_back("call: " + text);
  if (calls_ > call_texts_.size()) {
    std::string all;
    for (const auto& [name, count] : counts_) all += fmt::format("{}{} {}", all.empty() ? "" : ", ", count, name);
    lines.push_back(fmt::format("... {} more calls; in all {}", calls_ - call_texts_.size(), all));
  }
  for (const FaultRun& run : runs_) lines.push_back(text_of(run));
  if (faults_not_shown_ != 0) lines.push_back(fmt::format("... {}, {} in all", count_text(faults_not_shown_, "more fault"), faults_));
  lines.insert(lines.end(), kernel_texts_.begin(), kernel_texts_.end());
  add_some(lines, std::span(lines_).subspan(first_notes_));
  return lines;
}

}  // namespace faultline::lab
