#include "trace/cut_recording.h"

#include <algorithm>

namespace faultline::trace {
namespace {

class CutReader final : public HeapEventReader {
 public:
  CutReader(std::unique_ptr<HeapEventReader> whole, std::uint64_t until_ns) : whole_(std::move(whole)), until_ns_(until_ns) {}
  bool next(HeapEvent& event) override {
    while (whole_->next(event)) {
      if (event.end_ns <= until_ns_ && event.begin_ns <= until_ns_) return true;
    }
    return false;
  }

 private:
  std::unique_ptr<HeapEventReader> whole_;
  std::uint64_t until_ns_;
};

class CutRecording final : public Recording {
 public:
  CutRecording(std::unique_ptr<Recording> whole, std::uint64_t until_ns) : whole_(std::move(whole)), until_ns_(until_ns), main_(whole_->main_process()) {
    meta_ = whole_->meta();
    meta_.wall_ns = std::min(meta_.wall_ns == 0 ? until_ns_ : meta_.wall_ns, until_ns_);
    for (const ProcessInfo& process : whole_->processes()) {
      if (process.start_ns > until_ns_) continue;
      processes_.push_back(process);
      ProcessInfo& cut = processes_.back();
      if (&process == main_) main_index_ = processes_.size() - 1;
      cut.end_ns = std::min(cut.end_ns, until_ns_);
      if (cut.exit_report_ns != 0 && cut.exit_report_ns <= until_ns_) continue;
      cut.exit_seen = false;
      cut.exit_report_ns = 0;
      cut.exit_maps.clear();
    }
  }

  const Meta& meta() const override { return meta_; }
  std::span<const ProcessInfo> processes() const override { return processes_; }
  const ProcessInfo* main_process() const override { return main_index_ < processes_.size() ? &processes_[main_index_] : nullptr; }
  const std::optional<std::string>& damage() const override { return whole_->damage(); }
  std::uint64_t complete_until_ns() const override { return std::min(until_ns_, whole_->complete_until_ns()); }
  std::unique_ptr<HeapEventReader> heap_events(Pid pid) override { return std::make_unique<CutReader>(whole_->heap_events(pid), until_ns_); }

  std::vector<MemoryCall> calls(Pid pid) override {
    return up_to_end(whole_->calls(pid), [](const MemoryCall& call) { return call.end_ns; });
  }
  std::vector<FaultEvent> faults(Pid pid) override {
    return up_to_end(whole_->faults(pid), [](const FaultEvent& fault) { return fault.time_ns; });
  }
  std::vector<TouchObservation> touches(Pid pid) override {
    return up_to_end(whole_->touches(pid), [](const TouchObservation& touch) { return touch.time_ns; });
  }
  std::vector<ThreadEnd> thread_ends(Pid pid) override {
    return up_to_end(whole_->thread_ends(pid), [](const ThreadEnd& end) { return end.time_ns; });
  }
  std::vector<Module> modules(Pid pid) override { return whole_->modules(pid); }
  std::vector<RssSample> rss_samples(Pid pid) override {
    return up_to_end(whole_->rss_samples(pid), [](const RssSample& sample) { return sample.time_ns; });
  }
  std::vector<CachedFile> cached_files() override { return whole_->cached_files(); }
  std::vector<TaskEvent> tasks() override {
    return up_to_end(whole_->tasks(), [](const TaskEvent& task) { return task.time_ns; });
  }
  std::vector<MappingEvent> mapping_events(Pid pid) override {
    return up_to_end(whole_->mapping_events(pid), [](const MappingEvent& mapping) { return mapping.time_ns; });
  }
  std::vector<MemoryCall> calls_of_all_images(Pid pid) override {
    return up_to_end(whole_->calls_of_all_images(pid), [](const MemoryCall& call) { return call.end_ns; });
  }
  std::vector<FaultEvent> faults_of_all_images(Pid pid) override {
    return up_to_end(whole_->faults_of_all_images(pid), [](const FaultEvent& fault) { return fault.time_ns; });
  }
  StackTable& stacks(Pid pid) override { return whole_->stacks(pid); }
  std::uint64_t file_bytes() const override { return whole_->file_bytes(); }

 private:
  template <typename Record, typename Time>
  std::vector<Record> up_to_end(std::vector<Record> records, Time time) const {
    std::erase_if(records, [&](const Record& record) { return time(record) > until_ns_; });
    return records;
  }

  std::unique_ptr<Recording> whole_;
  std::uint64_t until_ns_;
  const ProcessInfo* main_;
  Meta meta_;
  std::vector<ProcessInfo> processes_;
  std::size_t main_index_ = ~std::size_t{0};
};

}  // namespace

std::unique_ptr<Recording> cut_recording(std::unique_ptr<Recording> whole, std::uint64_t until_ns) {
  return std::make_unique<CutRecording>(std::move(whole), until_ns);
}

Result<std::unique_ptr<Recording>> open_complete(const std::string& path) {
  FL_TRY(std::unique_ptr<Recording> recording, Recording::open(path));
  const std::uint64_t until = recording->complete_until_ns();
  if (until == Recording::kToTheEnd) return recording;
  return cut_recording(std::move(recording), until);
}

}  // namespace faultline::trace
