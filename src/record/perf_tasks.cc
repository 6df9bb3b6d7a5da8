#include "record/perf_tasks.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "record/time_base.h"

namespace faultline::record {
namespace {

// A build makes thousands of mappings a second, some programs hundreds of thousands. What an unprivileged user may lock in memory
// for perf is little, and the faults need it more.
constexpr std::size_t kRingBytes = 4u << 20, kSmallRingBytes = 256u << 10;

// A record is stamped before it is written, on a virtual machine perhaps long before: what is older than this is complete.
constexpr std::uint64_t kSettledNs = 20'000'000;

struct SampleId {  // appended to every record by sample_id_all: IDENTIFIER is last
  std::uint32_t pid, tid;
  std::uint64_t time, id;
};
struct TaskRecord {  // PERF_RECORD_FORK, PERF_RECORD_EXIT
  std::uint32_t pid, ppid, tid, ptid;
  std::uint64_t time;
};
struct MappingRecord {  // PERF_RECORD_MMAP2; the path follows
  std::uint32_t pid, tid;
  std::uint64_t address, length, offset;
  std::uint32_t major, minor;
  std::uint64_t inode, generation;
  std::uint32_t prot, flags;
};
struct FlagsSample {  // the tracepoint's own fields follow
  std::uint64_t id;
  std::uint32_t pid, tid;
  std::uint64_t time;
  std::uint32_t raw_bytes;
} __attribute__((packed));

perf_event_attr common_attributes() {
  perf_event_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME;
  attributes.inherit = 1;
  attributes.use_clockid = 1;
  attributes.clockid = CLOCK_MONOTONIC_RAW;
  return attributes;
}

}  // namespace

PerfTasks PerfTasks::attach(pid_t pid, const KernelTracepoints& tracepoints) {
  PerfTasks tasks;
  for (const int cpu : online_cpus()) {
    perf_event_attr attributes = common_attributes();
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_DUMMY;
    attributes.sample_id_all = 1;
    attributes.exclude_kernel = 1;
    attributes.task = 1;
    attributes.comm = 1;
    attributes.comm_exec = 1;
    attributes.mmap = 1;
    attributes.mmap_data = 1;
    attributes.mmap2 = 1;
    const int fd = open_perf_event(attributes, pid, cpu);
    PerfRing ring;
    if (fd < 0 || !ring.attach(Fd(fd), geteuid() == 0 ? kRingBytes : kSmallRingBytes)) continue;
    if (tracepoints.new_task) {
      perf_event_attr births = common_attributes();
      births.type = PERF_TYPE_TRACEPOINT;
      births.config = tracepoints.new_task.id;
      births.sample_period = 1;
      births.sample_type |= PERF_SAMPLE_RAW;
      const int births_fd = open_perf_event(births, pid, cpu);
      if (births_fd >= 0 && ring.attach(Fd(births_fd), kRingBytes)) tasks.flags_at_ = tracepoints.new_task.offsets.at("clone_flags");
    }
    tasks.rings_.push_back(std::move(ring));
  }
  return tasks;
}

void PerfTasks::take_task(const perf_event_header& header, const std::uint8_t* body, std::size_t size) {
  if (header.type == PERF_RECORD_COMM) {
    if ((header.misc & PERF_RECORD_MISC_COMM_EXEC) == 0 || size < 8 + sizeof(SampleId)) return;
    SampleId id;
    std::memcpy(&id, body + size - sizeof id, sizeof id);
    const char* name = reinterpret_cast<const char*>(body + 8);
    pending_.push_back({id.time, Kind::exec, static_cast<trace::Pid>(id.pid), 0, 0, 0, std::string(name, strnlen(name, size - 8 - sizeof id))});
    return;
  }
  TaskRecord task;
  if (size < sizeof task) return;
  std::memcpy(&task, body, sizeof task);
  pending_.push_back({task.time, header.type == PERF_RECORD_FORK ? Kind::fork : Kind::exit, static_cast<trace::Pid>(task.pid),
                      static_cast<trace::Pid>(task.ppid), static_cast<trace::Tid>(task.ptid), 0, {}});
}

void PerfTasks::take_mapping(const std::uint8_t* body, std::size_t size, std::vector<RawMapping>& mappings) {
  MappingRecord record;
  SampleId id;
  if (size < sizeof record + sizeof id) return;
  std::memcpy(&record, body, sizeof record);
  std::memcpy(&id, body + size - sizeof id, sizeof id);
  const char* path = reinterpret_cast<const char*>(body + sizeof record);
  RawMapping raw;
  raw.pid = static_cast<trace::Pid>(record.pid);
  raw.mapping = {.time_ns = id.time,
                 .start = record.address,
                 .end = record.address + record.length,
                 .offset = record.offset,
                 .prot = record.prot,
                 .flags = record.flags,
                 .device = record.major << 20 | record.minor,
                 .inode = record.inode,
                 .inode_generation = record.generation,
                 .path = std::string(path, strnlen(path, size - sizeof record - sizeof id))};
  mappings.push_back(std::move(raw));
}

void PerfTasks::take_flags(const std::uint8_t* body, std::size_t size) {
  FlagsSample sample;
  std::uint64_t flags = 0;
  if (flags_at_ == 0 || size < sizeof sample + flags_at_ + sizeof flags) return;
  std::memcpy(&sample, body, sizeof sample);
  std::memcpy(&flags, body + sizeof sample + flags_at_, sizeof flags);
  pending_.push_back({sample.time, Kind::flags, static_cast<trace::Pid>(sample.pid), 0, static_cast<trace::Tid>(sample.tid), flags, {}});
}

void PerfTasks::emit(const Record& record, std::vector<RawTask>& tasks) {
  RawTask task;
  task.event = {.time_ns = record.time, .pid = record.pid, .parent = record.parent, .parent_tid = record.parent_tid};
  switch (record.kind) {
    case Kind::fork:
      if (record.pid == record.parent) {  // a thread
        ++threads_.try_emplace(record.pid, 1).first->second;
        return;
      }
      task.event.kind = trace::TaskKind::fork;
      task.event.shares_memory = (record.clone_flags & CLONE_VM) != 0;
      threads_[record.pid] = 1;
      break;
    case Kind::exec:  // the other threads have ended, whatever was lost of them
      task.event.kind = trace::TaskKind::exec;
      task.name = record.name;
      threads_[record.pid] = 1;
      break;
    case Kind::exit: {
      task.event.kind = trace::TaskKind::exit;
      const auto threads = threads_.try_emplace(record.pid, 1).first;
      task.thread_only = --threads->second > 0;
      if (!task.thread_only) threads_.erase(threads);
      break;
    }
    case Kind::flags: return;
  }
  tasks.push_back(std::move(task));
}

void PerfTasks::drain(std::vector<RawTask>& tasks, std::vector<RawMapping>& mappings, bool last) {
  const std::uint64_t settled = last ? ~std::uint64_t{0} : raw_now_ns() - kSettledNs;
  const std::size_t before = pending_.size();
  for (PerfRing& ring : rings_) {
    ring.drain([&](const perf_event_header& header, const std::uint8_t* body, std::size_t size) {
      switch (header.type) {
        case PERF_RECORD_FORK:
        case PERF_RECORD_EXIT:
        case PERF_RECORD_COMM: take_task(header, body, size); break;
        case PERF_RECORD_MMAP2: take_mapping(body, size, mappings); break;
        case PERF_RECORD_SAMPLE: take_flags(body, size); break;
        case PERF_RECORD_LOST:
          if (size >= 16) {
            std::uint64_t lost = 0;
            std::memcpy(&lost, body + 8, sizeof lost);
            lost_ += lost;
          }
          break;
        default: break;
      }
    });
  }
  if (pending_.empty() || (pending_.size() == before && pending_.front().time > settled)) return;
  std::stable_sort(pending_.begin(), pending_.end(), [](const Record& x, const Record& y) { return x.time < y.time; });
  // copy_process tells the birth, then its flags; a thread makes one child at a time.
  std::map<trace::Tid, Record*> born;
  for (Record& record : pending_) {
    if (record.kind == Kind::fork) born[record.parent_tid] = &record;
    if (record.kind != Kind::flags) continue;
    if (const auto child = born.find(record.parent_tid); child != born.end()) child->second->clone_flags = record.clone_flags;
  }
  auto next = pending_.begin();
  for (; next != pending_.end() && next->time <= settled; ++next) emit(*next, tasks);
  pending_.erase(pending_.begin(), next);
}

}  // namespace faultline::record
