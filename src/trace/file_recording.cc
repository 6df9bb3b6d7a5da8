#include "trace/file_recording.h"

#include <algorithm>
#include <cstring>

#include "trace/cached_file_codec.h"
#include "trace/memory_codec.h"
#include "trace/process_text.h"
#include "trace/system_codec.h"

namespace faultline::trace {
namespace {

// Blocks of one kind overlap in time: each processor had a ring of its own.
template <typename Record>
void sort_by_time(std::vector<Record>& records) {
  std::stable_sort(records.begin(), records.end(), [](const Record& x, const Record& y) { return x.time_ns < y.time_ns; });
}

// The whole span of an ELF file, which execve maps first, ends where the file's next segment begins. An execve begins with the
// stack's mapping and ends with the vdso's: ld.so, which also maps a library's whole span first, leaves it mapped.
void end_first_segments(std::vector<MappingEvent>& mappings) {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < mappings.size(); ++at) {
    if (mappings[at].path == "[stack]") begin = at;
    if (mappings[at].path != "[vdso]") continue;
    for (std::size_t segment = begin; segment < at; ++segment) {
      MappingEvent& whole = mappings[segment];
      if (whole.inode == 0) continue;
      for (std::size_t next = segment + 1; next < at; ++next) {
        const MappingEvent& other = mappings[next];
        if (other.inode != whole.inode || other.device != whole.device || other.start <= whole.start || other.start >= whole.end) continue;
        whole.end = other.start;
        break;
      }
    }
    begin = at + 1;
  }
}

}  // namespace

Result<std::unique_ptr<Recording>> Recording::open(const std::string& path) {
  FL_TRY(BlockFile file, BlockFile::open(path));
  auto recording = std::make_unique<FileRecording>(std::move(file));
  FL_CHECK(recording->read_infos());
  return std::unique_ptr<Recording>(std::move(recording));
}

std::uint64_t Recording::heap_event_count(Pid pid) {
  const auto reader = heap_events(pid);
  HeapEvent event;
  std::uint64_t count = 0;
  while (reader->next(event)) ++count;
  return count;
}

const ProcessInfo* Recording::process(Pid pid) const {
  for (const ProcessInfo& process : processes()) {
    if (process.pid == pid) return &process;
  }
  return nullptr;
}

FileRecording::FileRecording(BlockFile file) : file_(std::move(file)), damage_(file_.damage()) { meta_.format_version = file_.version(); }

void FileRecording::note_damage(const std::string& line, std::uint64_t complete_until_ns) {
  complete_until_ns_ = std::min(complete_until_ns_, complete_until_ns);
  if (!damage_) {
    damage_ = line;
  } else if (damage_->find(line) == std::string::npos && damage_->size() < 1000) {
    *damage_ += "; " + line;
  }
}

Result<void> FileRecording::read_infos() {
  std::map<Image, ProcessInfo> infos;
  std::map<Image, const BlockEntry*> info_blocks;
  std::vector<TickPair> pairs;
  std::vector<std::uint8_t> payload;
  auto load = [&](const BlockEntry& block) {
    Result<void> loaded = file_.load(block, payload);
    if (!loaded) note_damage(loaded.error().message());
    return loaded.has_value();
  };
  auto text = [&] { return std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size()); };
  bool any_meta = false;
  for (const BlockEntry& block : file_.blocks()) {
    switch (static_cast<BlockKind>(block.header.kind)) {
      case BlockKind::heap: {
        Rings& rings = rings_[block.header.image];
        rings.blocks[block.header.ring].push_back(&block);
        rings.bytes += block.header.raw_bytes;
        rings.events += block.header.events;
        rings.flags |= block.header.flags;
        if (infos[block.header.image].pid == 0) infos[block.header.image].pid = block.header.pid;
        break;
      }
      case BlockKind::process: info_blocks[block.header.image] = &block; break;
      case BlockKind::meta:
        if (!load(block)) break;
        if (!apply_json(text(), meta_)) note_damage(fmt::format("{}: damaged at offset {}: the meta block is no JSON", file_.path(), block.offset));
        any_meta = true;
        break;
      case BlockKind::clock:
        if (!load(block)) break;
        for (std::size_t at = 0; at + sizeof(TickPair) <= payload.size(); at += sizeof(TickPair)) {
          TickPair pair;
          std::memcpy(&pair, payload.data() + at, sizeof pair);
          pairs.push_back(pair);
        }
        break;
      default: break;
    }
  }
  const std::uint64_t last_clock_ns = pairs.empty() ? 0 : pairs.back().ns;
  clock_ = TickClock(std::move(pairs));
  if (!any_meta && !damage_) note_damage(fmt::format("{}: the recording has no description of itself", file_.path()));
  for (auto& [image, process] : infos) read_texts(image, process);
  for (const auto& [image, block] : info_blocks) {
    if (!load(*block)) continue;
    if (!apply_json(text(), infos[image])) note_damage(fmt::format("{}: damaged at offset {}: the process block is no JSON", file_.path(), block->offset));
  }
  choose_images(infos);
  // Each 100 ms the recorder writes what is older than that, then a clock (Collector::flush). Without a later clock, ticks
  // beyond it are only guessed to be times.
  constexpr std::uint64_t kWriterDelay = 150'000'000;
  if (!file_.ended()) complete_until_ns_ = last_clock_ns - std::min(last_clock_ns, kWriterDelay);
  return {};
}

// Start, exit and note records, found through the flags in the block headers.
void FileRecording::read_texts(Image image, ProcessInfo& process) {
  const auto found = rings_.find(image);
  if (found == rings_.end() || (found->second.flags & (kHasStart | kHasExit | kHasNotes)) == 0) return;
  std::string start, exit;
  std::vector<std::string> notes;
  auto take = [&](wire::RecordKind kind, std::string_view value) {
    if (kind == wire::RecordKind::start) start += value;
    if (kind == wire::RecordKind::note) notes.emplace_back(value);
    if (kind != wire::RecordKind::exit) return;
    if (value.starts_with("exit_number=")) exit.clear();  // a fresh report replaces the one before
    exit += value;
  };
  std::vector<std::uint8_t> payload;
  for (const auto& [ring, blocks] : found->second.blocks) {
    for (const BlockEntry* block : blocks) {
      if ((block->header.flags & (kHasStart | kHasExit | kHasNotes)) == 0) continue;
      if (!file_.load(*block, payload)) continue;  // reading the events will say so
      for_each_text(payload, take);
    }
  }
  if (!start.empty()) {
    const std::uint64_t tick = apply_start_text(start, process);
    if (tick != 0) process.start_report_ns = clock_.ns(tick);
  }
  if (!exit.empty()) process.exit_report_ns = clock_.ns(apply_exit_text(exit, process));
  for (const std::string& note : notes) {
    if (!apply_range_note(note, process)) meta_.missing.push_back(fmt::format("process {}: {}", process.pid, note));
  }
}

// One ProcessInfo per pid: the image of its last execve.
void FileRecording::choose_images(std::map<Image, ProcessInfo>& infos) {
  std::map<Pid, const ProcessInfo*> chosen;
  for (auto& [image, process] : infos) {
    const auto before = chosen.find(process.pid);
    if (before != chosen.end() && before->second->start_ns > process.start_ns) continue;
    chosen[process.pid] = &process;
    image_of_[process.pid] = image;
  }
  for (const BlockEntry& block : file_.blocks()) {  // a process the recorder had no time to describe
    const auto kind = static_cast<BlockKind>(block.header.kind);
    if (kind != BlockKind::faults && kind != BlockKind::calls && kind != BlockKind::samples &&
        kind != BlockKind::mappings) {
      continue;
    }
    if (chosen.contains(block.header.pid)) continue;
    ProcessInfo& process = infos[~Image{0} - static_cast<Image>(chosen.size())];
    process.pid = block.header.pid;
    chosen[process.pid] = &process;
  }
  std::map<Pid, std::uint64_t> populated;  // by the recorder in earlier images: told by their exit reports
  for (const auto& [image, process] : infos) {
    if (chosen[process.pid] != &process) populated[process.pid] += process.recorder_faults;
  }
  for (const auto& [pid, process] : chosen) {
    processes_.push_back(*process);
    if (processes_.back().earlier_recorder_faults == 0) processes_.back().earlier_recorder_faults = populated[pid];
    if (processes_.back().end_ns == 0 || processes_.back().rss_peak_bytes == 0) {
      for (const RssSample& sample : rss_samples(pid)) {
        ProcessInfo& info = processes_.back();
        const std::uint64_t own = sample.rss_bytes - std::min(sample.rss_bytes, info.recorder_rss_bytes);
        info.end_ns = std::max(info.end_ns, sample.time_ns);
        if (!info.exit_seen) {
          info.rss_peak_bytes = std::max(info.rss_peak_bytes, own);
          info.rss_end_bytes = own;
        }
      }
    }
  }
  std::stable_sort(processes_.begin(), processes_.end(), [](const ProcessInfo& x, const ProcessInfo& y) { return x.start_ns < y.start_ns; });
}

const ProcessInfo* FileRecording::main_process() const {
  const ProcessInfo* main = nullptr;
  const ProcessInfo* busiest = nullptr;
  auto events = [&](const ProcessInfo* process) {
    const Rings* rings = process == nullptr ? nullptr : rings_of(process->pid);
    return rings == nullptr ? 0 : rings->events;
  };
  for (const ProcessInfo& process : processes_) {
    if (process.is_main) main = &process;
    if (busiest == nullptr || events(&process) > events(busiest)) busiest = &process;
  }
  // A wrapper allocates next to nothing compared to the program it runs. A worker that was only forked is no other program, unless the
  // command itself did nothing else than fork it (a daemon).
  if (main == nullptr) return busiest;
  const std::uint64_t factor = busiest->forked_without_exec ? 1000 : 10;
  return events(main) * factor < events(busiest) ? busiest : main;
}

const FileRecording::Rings* FileRecording::rings_of(Pid pid) const {
  const auto image = image_of_.find(pid);
  if (image == image_of_.end()) return nullptr;
  const auto rings = rings_.find(image->second);
  return rings == rings_.end() ? nullptr : &rings->second;
}

StackTable& FileRecording::stacks(Pid pid) {
  std::unique_ptr<StackTable>& table = stacks_[pid];
  if (table == nullptr) table = std::make_unique<StackTable>();
  return *table;
}

std::unique_ptr<HeapEventReader> FileRecording::merged(const Rings& rings, StackTable& stacks, SideRecords* side) {
  std::vector<std::unique_ptr<RingStream>> streams;
  for (const auto& [ring, blocks] : rings.blocks) {
    streams.push_back(
        std::make_unique<RingStream>(file_, blocks, stacks, clock_, side, [this](const std::string& line, std::uint64_t last_ns) { note_damage(line, last_ns); }));
  }
  return merge_rings(std::move(streams));
}

std::unique_ptr<HeapEventReader> FileRecording::heap_events(Pid pid) {
  static const Rings none;
  const Rings* rings = rings_of(pid);
  return merged(rings == nullptr ? none : *rings, stacks(pid), nullptr);
}

std::uint64_t FileRecording::heap_event_count(Pid pid) {
  const Rings* rings = rings_of(pid);
  return rings == nullptr ? 0 : rings->events;
}

void FileRecording::read_side(Pid pid, SideRecords& side) {
  const Rings* rings = rings_of(pid);
  if (rings == nullptr) return;
  StackTable unused;  // stacks are interned by heap_events() alone
  const auto reader = merged(*rings, unused, &side);
  HeapEvent event;
  while (reader->next(event)) {
  }
}

template <typename Decode>
void FileRecording::each_payload(BlockKind kind, Pid pid, Decode&& decode) {
  std::vector<std::uint8_t> payload;
  for (const BlockEntry& block : file_.blocks()) {
    if (block.header.kind != static_cast<std::uint16_t>(kind) || block.header.pid != pid) continue;
    if (Result<void> loaded = file_.load(block, payload); !loaded) {
      note_damage(loaded.error().message());
      return;
    }
    if (!decode(payload, block.header.flags)) {
      note_damage(fmt::format("{}: damaged at offset {}: the block's records end in the middle", file_.path(), block.offset));
      return;
    }
  }
}

std::vector<MemoryCall> FileRecording::calls_of_all_images(Pid pid) {
  struct Wrapped : SideRecords {
    std::vector<MemoryCall> calls;
    void call(const MemoryCall& call) override { calls.push_back(call); }
  } wrapped;
  each_payload(BlockKind::calls, pid, [&](const auto& payload, std::uint16_t) { return decode_calls(payload, wrapped.calls); });
  const Rings* rings = rings_of(pid);
  if (wrapped.calls.empty() && rings != nullptr && (rings->flags & kHasCalls) != 0) read_side(pid, wrapped);
  std::stable_sort(wrapped.calls.begin(), wrapped.calls.end(), [](const MemoryCall& x, const MemoryCall& y) { return x.begin_ns < y.begin_ns; });
  return std::move(wrapped.calls);
}

std::vector<FaultEvent> FileRecording::faults_of_all_images(Pid pid) {
  std::vector<FaultEvent> faults;
  each_payload(BlockKind::faults, pid,
               [&](const auto& payload, std::uint16_t flags) { return decode_faults(payload, (flags & kHasAccess) != 0, faults); });
  sort_by_time(faults);
  return faults;
}

std::vector<MemoryCall> FileRecording::calls(Pid pid) {
  std::vector<MemoryCall> calls = calls_of_all_images(pid);
  const ProcessInfo* info = process(pid);
  if (info != nullptr) std::erase_if(calls, [&](const MemoryCall& call) { return call.begin_ns < info->start_ns; });
  return calls;
}

std::vector<FaultEvent> FileRecording::faults(Pid pid) {
  std::vector<FaultEvent> faults = faults_of_all_images(pid);
  const ProcessInfo* info = process(pid);
  if (info != nullptr) std::erase_if(faults, [&](const FaultEvent& fault) { return fault.time_ns < info->start_ns; });
  return faults;
}

std::vector<CachedFile> FileRecording::cached_files() {
  std::vector<CachedFile> files;
  each_payload(BlockKind::files, 0, [&](const auto& payload, std::uint16_t) { return decode_files(payload, files); });
  return files;
}

std::vector<TaskEvent> FileRecording::tasks() {
  std::vector<TaskEvent> tasks;
  each_payload(BlockKind::tasks, 0, [&](const auto& payload, std::uint16_t) { return decode_tasks(payload, tasks); });
  sort_by_time(tasks);
  return tasks;
}

std::vector<MappingEvent> FileRecording::mapping_events(Pid pid) {
  std::vector<MappingEvent> mappings;
  each_payload(BlockKind::mappings, pid, [&](const auto& payload, std::uint16_t) { return decode_mappings(payload, mappings); });
  sort_by_time(mappings);
  end_first_segments(mappings);
  return mappings;
}

std::vector<TouchObservation> FileRecording::touches(Pid pid) {
  struct Touches : SideRecords {
    std::vector<TouchObservation> all;
    void touch(TouchObservation&& touch) override { all.push_back(std::move(touch)); }
  } touches;
  const Rings* rings = rings_of(pid);
  if (rings != nullptr && (rings->flags & kHasTouches) != 0) read_side(pid, touches);
  sort_by_time(touches.all);
  return std::move(touches.all);
}

std::vector<ThreadEnd> FileRecording::thread_ends(Pid pid) {
  struct Ends : SideRecords {
    std::vector<ThreadEnd> all;
    void thread_end(const ThreadEnd& end) override { all.push_back(end); }
  } ends;
  const Rings* rings = rings_of(pid);
  if (rings != nullptr && (rings->flags & kHasThreadEnds) != 0) read_side(pid, ends);
  sort_by_time(ends.all);
  return std::move(ends.all);
}

std::vector<Module> FileRecording::modules(Pid pid) {
  struct Modules : SideRecords {
    std::vector<Module> all;
    void module(Module&& module) override { all.push_back(std::move(module)); }
  } modules;
  const Rings* rings = rings_of(pid);
  if (rings != nullptr && (rings->flags & kHasModules) != 0) read_side(pid, modules);
  return std::move(modules.all);
}

std::vector<RssSample> FileRecording::rss_samples(Pid pid) {
  std::vector<RssSample> samples;
  each_payload(BlockKind::samples, pid, [&](const auto& payload, std::uint16_t) { return decode_samples(payload, samples); });
  sort_by_time(samples);
  return samples;
}

}  // namespace faultline::trace
