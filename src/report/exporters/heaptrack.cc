// heaptrack's interpreted data file, version 3: every allocation and free in its order, for heaptrack_print and heaptrack_gui. Numbers are
// hexadecimal, indices count from 1. What a line holds is described by heaptrack's reader; nothing of it is used here.
#include <fmt/format.h>

#include <map>
#include <unordered_map>

#include "analyze/block_map.h"
#include "analyze/symbolizer.h"
#include "report/exporter.h"

namespace faultline::report {
namespace {

using trace::HeapEvent;
using trace::HeapOp;

class Writer {
 public:
  Writer(const ExportInput& input, ExportOutput& output)
      : input_(input), output_(output), stacks_(input.recording.stacks(input.process.pid)), symbolizer_(input.recording.modules(input.process.pid)) {}

  void run() {
    // 1.4.0: what a reader of file version 3 asks for at least.
    line("v 10400 3");
    line(fmt::format("X {}", one_line(input_.profile.command)));
    line(fmt::format("I {:x} {:x}", kPage, std::uint64_t{0}));
    const auto reader = input_.recording.heap_events(input_.process.pid);
    std::size_t rss = 0;
    HeapEvent event;
    while (reader->next(event)) {
      tell_time(event.order_ns(), rss);
      take(event);
    }
    tell_time(input_.process.end_ns, rss);
  }

 private:
  static constexpr std::uint64_t kPage = 4096;
  const ExportInput& input_;
  ExportOutput& output_;
  trace::StackTable& stacks_;
  analyze::Symbolizer symbolizer_;
  std::unordered_map<std::string, std::size_t> strings_;
  std::unordered_map<std::uint64_t, std::size_t> addresses_;              // instruction pointers, by return address
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> traces_;     // (address, caller's trace)
  std::unordered_map<trace::StackId, std::size_t> trace_of_stack_;
  std::map<std::pair<std::uint64_t, std::size_t>, std::size_t> infos_;    // (bytes, trace)
  std::unordered_map<std::uint64_t, std::size_t> live_;                   // block: its info
  std::uint64_t told_ms_ = ~std::uint64_t{0};

  void line(const std::string& text) { output_.write(text + "\n"); }

  static std::string one_line(std::string text) {
    for (char& c : text) {
      if (c == '\n' || c == '\r') c = ' ';
    }
    return text;
  }

  std::size_t string(const std::string& text) {
    if (text.empty()) return 0;
    const auto [at, fresh] = strings_.try_emplace(one_line(text), strings_.size() + 1);
    if (fresh) line(fmt::format("s {:x} {}", at->first.size(), at->first));
    return at->second;
  }

  // `i ip module function file line`, then function, file and line of each caller it was inlined into.
  std::size_t address(std::uint64_t return_address) {
    const auto found = addresses_.find(return_address);
    if (found != addresses_.end()) return found->second;
    const trace::Module* const module = symbolizer_.module_of(return_address - 1);
    std::string text = fmt::format("i {:x} {:x}", return_address - 1, module != nullptr ? string(module->path) : 0);
    for (const analyze::Frame& frame : symbolizer_.caller(return_address)) {
      if (!frame.named) break;
      text += fmt::format(" {:x}", string(frame.function));
      if (frame.file.empty()) break;
      text += fmt::format(" {:x} {:x}", string(frame.file), frame.line);
    }
    line(text);
    const std::size_t index = addresses_.size() + 1;
    addresses_.emplace(return_address, index);
    return index;
  }

  std::size_t trace_of(trace::StackId stack) {
    const auto found = trace_of_stack_.find(stack);
    if (found != trace_of_stack_.end()) return found->second;
    const auto frames = stacks_.frames(stack);
    std::size_t parent = 0;
    for (auto frame = frames.rbegin(); frame != frames.rend(); ++frame) {
      const std::size_t ip = address(*frame);
      const auto [at, fresh] = traces_.try_emplace({ip, parent}, traces_.size() + 1);
      if (fresh) line(fmt::format("t {:x} {:x}", ip, parent));
      parent = at->second;
    }
    trace_of_stack_.emplace(stack, parent);
    return parent;
  }

  void allocated(std::uint64_t block, std::uint64_t bytes, trace::StackId stack) {
    if (live_.contains(block)) freed(block);  // its free was not seen
    const std::size_t trace = trace_of(stack);
    const auto [at, fresh] = infos_.try_emplace({bytes, trace}, infos_.size());
    if (fresh) line(fmt::format("a {:x} {:x}", bytes, trace));
    line(fmt::format("+ {:x}", at->second));
    live_.emplace(block, at->second);
  }

  void freed(std::uint64_t block) {
    const auto found = live_.find(block);
    if (found == live_.end()) return;
    line(fmt::format("- {:x}", found->second));
    live_.erase(found);
  }

  void take(const HeapEvent& event) {
    switch (event.op) {
      case HeapOp::free: return freed(event.b);
      case HeapOp::realloc:
        if (event.b != 0 && (event.result != 0 || event.a == 0)) freed(event.b);
        if (event.result != 0) allocated(event.result, event.a, event.stack);
        return;
      case HeapOp::calloc:
        if (event.result != 0) allocated(event.result, event.a * event.b, event.stack);
        return;
      case HeapOp::malloc:
      case HeapOp::memalign:
      case HeapOp::pvalloc:
        if (event.result != 0) allocated(event.result, event.a, event.stack);
        return;
      case HeapOp::mallopt:
      case HeapOp::malloc_trim: return;
    }
  }

  // `c` is milliseconds since the start, `R` resident pages.
  void tell_time(std::uint64_t time_ns, std::size_t& rss) {
    const std::uint64_t since = time_ns - std::min(time_ns, input_.process.start_ns);
    const auto& samples = input_.profile.rss;
    const bool sampled = rss < samples.size() && samples[rss].time_ns <= time_ns;
    if (since / 1'000'000 == told_ms_ && !sampled) return;
    told_ms_ = since / 1'000'000;
    line(fmt::format("c {:x}", told_ms_));
    for (; rss < samples.size() && samples[rss].time_ns <= time_ns; ++rss) {
      if (rss + 1 == samples.size() || samples[rss + 1].time_ns > time_ns) line(fmt::format("R {:x}", samples[rss].rss_bytes / kPage));
    }
  }
};

void run(const ExportInput& input, ExportOutput& output) { Writer(input, output).run(); }

FL_REGISTER_EXPORTER("heaptrack", "heaptrack", "every allocation and free, with stacks: heaptrack_print, heaptrack_gui", run);

}  // namespace
}  // namespace faultline::report
