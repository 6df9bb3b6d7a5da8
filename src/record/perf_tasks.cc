#include "record/perf_tasks.h"

#include <cstring>
#include <ctime>

namespace faultline::record {
namespace {

constexpr std::size_t kRingBytes = 256u << 10;

struct SampleId {  // appended to every record by sample_id_all: IDENTIFIER is last
  std::uint32_t pid, tid;
  std::uint64_t time, id;
};
struct TaskRecord {  // PERF_RECORD_FORK, PERF_RECORD_EXIT
  std::uint32_t pid, ppid, tid, ptid;
  std::uint64_t time;
};

}  // namespace

PerfTasks PerfTasks::attach(pid_t pid) {
  PerfTasks tasks;
  for (const int cpu : online_cpus()) {
    perf_event_attr attributes;
    std::memset(&attributes, 0, sizeof attributes);
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_DUMMY;
    attributes.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
    attributes.sample_id_all = 1;
    attributes.inherit = 1;
    attributes.exclude_kernel = 1;
    attributes.task = 1;
    attributes.comm = 1;
    attributes.comm_exec = 1;
    attributes.use_clockid = 1;
    attributes.clockid = CLOCK_MONOTONIC_RAW;
    const int fd = open_perf_event(attributes, pid, cpu);
    PerfRing ring;
    if (fd < 0 || !ring.attach(Fd(fd), kRingBytes)) continue;
    tasks.rings_.push_back(std::move(ring));
  }
  return tasks;
}

void PerfTasks::drain(std::vector<TaskEvent>& out) {
  for (PerfRing& ring : rings_) {
    ring.drain([&](const perf_event_header& header, const std::uint8_t* body, std::size_t size) {
      if ((header.type == PERF_RECORD_FORK || header.type == PERF_RECORD_EXIT) && size >= sizeof(TaskRecord)) {
        TaskRecord task;
        std::memcpy(&task, body, sizeof task);
        const bool fork = header.type == PERF_RECORD_FORK;
        if (fork && task.pid == task.ppid) return;  // a thread
        out.push_back({fork ? TaskEvent::Kind::fork : TaskEvent::Kind::exit, static_cast<trace::Pid>(task.pid),
                       static_cast<trace::Pid>(task.ppid), task.time, {}});
      } else if (header.type == PERF_RECORD_COMM && (header.misc & PERF_RECORD_MISC_COMM_EXEC) != 0 && size >= 8 + sizeof(SampleId)) {
        SampleId id;
        std::memcpy(&id, body + size - sizeof id, sizeof id);
        const char* name = reinterpret_cast<const char*>(body + 8);
        out.push_back({TaskEvent::Kind::exec, static_cast<trace::Pid>(id.pid), 0, id.time, std::string(name, strnlen(name, size - 8 - sizeof id))});
      }
    });
  }
}

}  // namespace faultline::record
