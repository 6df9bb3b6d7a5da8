#include "trace/forked_recording.h"

#include <algorithm>
#include <utility>

namespace faultline::trace {
namespace {

// One process of the line, and the stretch of time in which it stands for the child.
struct Generation {
  const ProcessInfo* process = nullptr;
  std::uint64_t from_ns = 0, until_ns = Recording::kToTheEnd;
  Tid first_thread = 0;  // what its first thread, whose id is the pid, is called in the line

  bool covers(std::uint64_t time_ns) const { return from_ns <= time_ns && time_ns < until_ns; }
  Tid name_of(Tid tid) const { return tid == process->pid ? first_thread : tid; }
};

class LineReader final : public HeapEventReader {
 public:
  LineReader(Recording& whole, std::span<const Generation> line) : whole_(whole), line_(line) {}

  bool next(HeapEvent& event) override {
    for (; at_ < line_.size(); ++at_, reader_ = nullptr) {
      const Generation& generation = line_[at_];
      if (reader_ == nullptr) {
        reader_ = whole_.heap_events(generation.process->pid);
        known_.clear();
      }
      while (reader_->next(event)) {
        if (!generation.covers(event.begin_ns)) continue;
        event.tid = generation.name_of(event.tid);
        if (at_ + 1 < line_.size()) event.stack = inherited(event.stack);
        return true;
      }
    }
    return false;
  }

 private:
  Recording& whole_;
  std::span<const Generation> line_;
  std::size_t at_ = 0;
  std::unique_ptr<HeapEventReader> reader_;
  std::vector<StackId> known_;  // by the ancestor's id, the child's; 0: not asked for yet

  // An ancestor's call stack in the child's table.
  StackId inherited(StackId stack) {
    if (stack == 0) return 0;
    if (known_.size() <= stack) known_.resize(stack + 1);
    if (known_[stack] == 0) {
      const auto frames = whole_.stacks(line_[at_].process->pid).frames(stack);
      known_[stack] = whole_.stacks(line_.back().process->pid).intern({frames.data(), frames.size()});
    }
    return known_[stack];
  }
};

class Line final : public Recording {
 public:
  Line(Recording& whole, std::vector<Generation> line) : whole_(whole), line_(std::move(line)), process_(*line_.back().process) {
    const ProcessInfo& first = *line_.front().process;
    process_.forked_without_exec = false;
    process_.start_ns = first.start_ns;
    process_.initial_brk = first.initial_brk;
    process_.allocator = first.allocator;
    process_.glibc_version = first.glibc_version;
    process_.tunables = first.tunables;
    process_.environment = first.environment;
    for (std::size_t i = 0; i + 1 < line_.size(); ++i) {
      const auto& ranges = line_[i].process->recorder_ranges;
      process_.recorder_ranges.insert(process_.recorder_ranges.end(), ranges.begin(), ranges.end());
    }
  }

  const Meta& meta() const override { return whole_.meta(); }
  std::span<const ProcessInfo> processes() const override { return {&process_, 1}; }
  const ProcessInfo* main_process() const override { return &process_; }
  const std::optional<std::string>& damage() const override { return whole_.damage(); }
  std::uint64_t complete_until_ns() const override { return whole_.complete_until_ns(); }

  std::unique_ptr<HeapEventReader> heap_events(Pid) override { return std::make_unique<LineReader>(whole_, line_); }
  std::vector<MemoryCall> calls(Pid) override {
    return along(&Recording::calls_of_all_images, [](const MemoryCall& call) { return call.begin_ns; });
  }
  std::vector<FaultEvent> faults(Pid) override {
    return along(&Recording::faults_of_all_images, [](const FaultEvent& fault) { return fault.time_ns; });
  }
  std::vector<TouchObservation> touches(Pid) override {
    return along(&Recording::touches, [](const TouchObservation& touch) { return touch.time_ns; });
  }
  std::vector<ThreadEnd> thread_ends(Pid) override {
    return along(&Recording::thread_ends, [](const ThreadEnd& end) { return end.time_ns; });
  }
  std::vector<Module> modules(Pid) override { return whole_.modules(process_.pid); }
  std::vector<RssSample> rss_samples(Pid) override { return whole_.rss_samples(process_.pid); }
  std::vector<TaskEvent> tasks() override { return whole_.tasks(); }
  StackTable& stacks(Pid) override { return whole_.stacks(process_.pid); }
  std::uint64_t file_bytes() const override { return whole_.file_bytes(); }

 private:
  Recording& whole_;
  std::vector<Generation> line_;
  ProcessInfo process_;

  template <typename Record, typename Time>
  std::vector<Record> along(std::vector<Record> (Recording::*records_of)(Pid), Time time) {
    std::vector<Record> all;
    for (const Generation& generation : line_) {
      for (Record& record : (whole_.*records_of)(generation.process->pid)) {
        if (!generation.covers(time(record))) continue;
        record.tid = generation.name_of(record.tid);
        all.push_back(std::move(record));
      }
    }
    return all;
  }
};

const TaskEvent* birth_of(std::span<const TaskEvent> tasks, const ProcessInfo& child) {
  const TaskEvent* last = nullptr;
  for (const TaskEvent& task : tasks)
    if (task.kind == TaskKind::fork && task.pid == child.pid && !task.shares_memory) last = &task;
  return last;
}

}  // namespace

Result<ForkedRecording> forked_recording(Recording& whole, const ProcessInfo& child) {
  const std::vector<TaskEvent> tasks = whole.tasks();
  std::vector<Generation> line;
  std::vector<std::pair<std::uint64_t, Tid>> births;  // youngest first: when, and the parent's thread by its own id
  for (const ProcessInfo* process = &child;;) {
    line.push_back({.process = process});
    if (!process->forked_without_exec) break;
    const TaskEvent* birth = birth_of(tasks, *process);
    if (birth == nullptr) return fail(make_error("process {} was forked without exec, and when was not recorded: the heap it inherited is not known", process->pid));
    const ProcessInfo* parent = whole.process(birth->parent);
    if (parent == nullptr || line.size() > tasks.size()) {
      return fail(make_error("process {} was forked without exec by process {}, whose heap was not recorded: what it inherited is not known", process->pid, birth->parent));
    }
    if (!parent->forked_without_exec && parent->start_ns > birth->time_ns) {
      return fail(make_error("process {} was forked without exec before process {} became what was recorded of it: the heap it inherited is not known", process->pid, parent->pid));
    }
    births.emplace_back(birth->time_ns, birth->parent_tid == 0 ? birth->parent : birth->parent_tid);
    process = parent;
  }
  std::reverse(line.begin(), line.end());
  std::reverse(births.begin(), births.end());
  ForkedRecording made;
  line.front().from_ns = line.front().process->start_ns;
  line.front().first_thread = line.front().process->pid;
  for (std::size_t i = 0; i < births.size(); ++i) {
    const auto& [time_ns, thread] = births[i];
    line[i].until_ns = line[i + 1].from_ns = time_ns;
    line[i + 1].first_thread = line[i].name_of(thread);
    made.forks.push_back({time_ns, line[i + 1].first_thread});
  }
  made.recording = std::make_unique<Line>(whole, std::move(line));
  return made;
}

}  // namespace faultline::trace
