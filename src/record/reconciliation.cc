#include "record/reconciliation.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "record/file_cache.h"
#include "trace/cached_file_codec.h"
#include "trace/process_text.h"
#include "trace/recording.h"

namespace faultline::record {

namespace {

std::uint64_t less(std::uint64_t value, std::uint64_t part) { return value - std::min(value, part); }

struct Recorded {
  std::uint64_t minor = 0, major = 0, on_recorder = 0, after_report = 0;
};

Recorded count_faults(trace::Recording& recording, const trace::ProcessInfo& process) {
  Recorded recorded;
  for (const trace::FaultEvent& fault : recording.faults(process.pid)) {
    ++(fault.kind == trace::FaultKind::major ? recorded.major : recorded.minor);
    if (process.exit_seen && fault.time_ns > process.exit_report_ns) ++recorded.after_report;
    for (const auto& [start, end] : process.recorder_ranges) {
      if (fault.address >= start && fault.address < end && fault.kind == trace::FaultKind::minor) {
        ++recorded.on_recorder;
        break;
      }
    }
  }
  return recorded;
}

// rusage of the whole pid, minus what it counted before this image's execve.
void reconcile(trace::ProcessInfo& process, const ProcImage& image, const Recorded& recorded, const MainEnd& end, bool faults_recorded) {
  const std::uint64_t populated = process.recorder_faults;  // told by the exit report
  std::uint64_t compared = recorded.minor;
  if (process.pid == end.pid) {
    process.minor_faults = end.faults.minor;
    process.major_faults = end.faults.major;
    process.wait_status = end.wait_status;
  } else {
    compared = less(compared, recorded.after_report);  // its counters were read at the report
  }
  if (!faults_recorded) return;
  process.minor_faults = less(process.minor_faults, less(image.minor_of_pid, recorded.minor) + process.earlier_recorder_faults);
  process.major_faults = less(process.major_faults, less(image.major_of_pid, recorded.major));
  process.recorder_faults = populated + recorded.on_recorder;
  process.unattributed_minor = less(less(process.minor_faults, compared), populated);
  process.unattributed_major = less(process.major_faults, recorded.major);
}

// One block for all files: they are few, and looking at them comes last so that it disturbs nothing.
void write_files(trace::BlockWriter& writer, trace::Recording& recording, const std::vector<ProcImage>& images) {
  std::vector<trace::MappingEvent> mappings;
  std::set<trace::Pid> seen;
  for (const ProcImage& image : images) {
    if (!seen.insert(image.pid).second) continue;
    std::vector<trace::MappingEvent> own = recording.mapping_events(image.pid);
    std::move(own.begin(), own.end(), std::back_inserter(mappings));
  }
  const std::vector<trace::CachedFile> files = look_at_files(mappings);
  if (files.empty()) return;
  std::vector<std::uint8_t> payload;
  for (const trace::CachedFile& file : files) trace::encode_file(file, payload);
  trace::BlockHeader header{};
  header.kind = static_cast<std::uint16_t>(trace::BlockKind::files);
  header.events = static_cast<std::uint32_t>(files.size());
  writer.append(header, payload);
}

}  // namespace

void write_end(trace::BlockWriter& writer, const std::string& path, std::vector<ProcImage>& images, const MainEnd& end,
               const RecorderCounts& counts, RecordSummary& summary) {
  auto write_processes = [&](const std::vector<ProcImage>& all) {
    for (const ProcImage& image : all) writer.append_text(trace::BlockKind::process, image.number, image.pid, trace::to_json(image.info));
  };
  write_processes(images);  // the reader needs the times of execve to tell images apart
  if (auto recording = trace::Recording::open(path)) {
    for (ProcImage& image : images) {
      const trace::ProcessInfo* read = (*recording)->process(image.pid);
      if (read == nullptr || read->start_ns != image.info.start_ns) continue;  // an earlier image
      ++summary.processes;
      summary.heap_events += (*recording)->heap_event_count(image.pid);
      trace::ProcessInfo process = *read;
      process.lost_heap_events = image.lost_heap_events;
      process.lost_turns = image.lost_turns;
      if (!process.exit_seen) process.recorder_rss_bytes = image.recorder_rss_bytes;
      const Recorded recorded = count_faults(**recording, process);
      reconcile(process, image, recorded, end, summary.meta.faults_recorded);
      if (process.pid == end.pid) {
        process.lost_fault_records = counts.lost_faults;
        process.lost_call_records = counts.lost_calls;
        process.lost_task_records = counts.lost_tasks;
      }
      summary.faults += recorded.minor + recorded.major;
      summary.calls += (*recording)->calls(process.pid).size();
      process.start_maps.clear();  // these stay in the shim's own records
      process.exit_maps.clear();
      image.info = std::move(process);
    }
    write_processes(images);
    write_files(writer, **recording, images);
  }
  writer.append_text(trace::BlockKind::meta, 0, 0, trace::to_json(summary.meta));
  writer.append_text(trace::BlockKind::end, 0, 0, "");
}

}  // namespace faultline::record
