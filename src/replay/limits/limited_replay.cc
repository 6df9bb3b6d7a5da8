#include "replay/limits/limited_replay.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <span>
#include <unordered_map>

#include "mm/backing/open_file.h"
#include "replay/limits/mapping_places.h"

namespace faultline::replay {

namespace {

using trace::ReferenceEvent;
using trace::ReferenceKind;

constexpr std::uint64_t kRegionPages = 512;  // mapped at once where a stream has no mappings
constexpr std::uint64_t kFirstRegion = 512;   // at 1 GiB
constexpr std::uint64_t kDenseRegions = 1u << 16;  // the others are rare: looked up
// What references look at is pulled into the processor's cache before they come, one thing leading to the next: the entry three times so
// many references ahead, the swap slot that stands in it twice, what is known of the slot's page once.
constexpr std::size_t kStepAhead = 8;
constexpr std::size_t kLookAhead = 3 * kStepAhead;
constexpr std::size_t kEntriesAhead = 32;  // remembered: more than kLookAhead

class LimitedReplay {
 public:
  LimitedReplay(trace::ReferenceSource& source, const LimitSettings& settings)
      : source_(source), settings_(settings), machine_(mm::Machine::create(config_of(settings))), has_mappings_(source.has_mappings()) {
    processes_.push_back(&machine_->start());
    sees_accesses_ = machine_->reclaim() != nullptr && machine_->reclaim()->descriptor().sees >= mm::Sees::every_access;
  }
  ~LimitedReplay() {
    for (auto& [number, file] : files_) file->release();
  }

  Result<LimitOutcome> run() {
    std::vector<ReferenceEvent> buffer(1024);
    addresses_.resize(buffer.size() + kLookAhead);
    for (;;) {
      FL_TRY(const std::size_t count, source_.next(buffer));
      if (count == 0) return finish();
      const std::span<const ReferenceEvent> events = std::span(buffer).first(count);
      for (std::size_t i = 0; i < count;) {
        std::size_t end = i;
        while (end < count && trace::is_touch(events[end].kind) && events[end].process == events[i].process) ++end;
        if (!(end > i ? touch_all(events.subspan(i, end - i)) : call(events[i]))) return finish();
        i = std::max(end, i + 1);
      }
    }
  }

 private:
  static mm::MachineConfig config_of(const LimitSettings& settings) {
    mm::MachineConfig config;
    config.reclaim.emplace();
    config.reclaim->policy = settings.policy;
    config.reclaim->limit_pages = settings.limit_pages == mm::MemoryLimit::kNone ? mm::MemoryLimit::kNone
                                                                                 : settings.limit_pages - std::min(settings.kernel_pages, settings.limit_pages);
    config.reclaim->settings.swappiness = settings.swappiness;
    config.reclaim->settings.group_waits = settings.cgroup_v1;
    config.reclaim->statistics_period_ns = settings.statistics_period_ns;
    config.reclaim->statistics_first_ns = settings.statistics_first_ns;
    config.swap.pages = settings.swap_pages;
    config.swap.device = settings.device;
    config.swap.read_ahead_hits = settings.swap_read_ahead_hits;
    return config;
  }

  // Touches of one process, and no call between them, so that entries stay where they are: they are found ahead of their touches.
  // False: the program was killed.
  bool touch_all(std::span<const ReferenceEvent> events) {
    const std::uint32_t number = events.front().process;
    if (!exists(number)) return true;
    mm::Process& process = *processes_[number];
    find_addresses(number, events);
    const std::uint64_t before = outcome_.references;
    std::array<mm::Pte*, kEntriesAhead> entries;
    for (std::size_t i = 0; i < kLookAhead; ++i) entries[i] = process.entry_ahead(addresses_[i]);
    for (std::size_t i = 0; i < events.size(); ++i) {
      entries[(i + 3 * kStepAhead) % kEntriesAhead] = process.entry_ahead(addresses_[i + 3 * kStepAhead]);
      if (const mm::Pte* pte = entries[(i + 2 * kStepAhead) % kEntriesAhead]; pte != nullptr && pte->swap()) [[unlikely]]
        process.space().prefetch_slot(*pte);
      if (const mm::Pte* pte = entries[(i + kStepAhead) % kEntriesAhead]; pte != nullptr && pte->swap()) [[unlikely]]
        process.space().prefetch_page(*pte);
      const bool write = events[i].kind == ReferenceKind::write;
      mm::Pte* const pte = entries[i % kEntriesAhead];
      if (pte != nullptr && !sees_accesses_ && mm::AddressSpace::hit(*pte, write)) [[likely]]
        continue;
      outcome_.references = before + i + 1;
      if (!touch(process, addresses_[i], write)) return false;
    }
    outcome_.references = before + events.size();
    return true;
  }

  bool exists(std::uint32_t number) const { return number < processes_.size() && processes_[number] != nullptr; }

  // Where they lie in the machine; behind the last one the same again, for who looks ahead.
  void find_addresses(std::uint32_t number, std::span<const ReferenceEvent> events) {
    std::size_t count = 0;
    if (has_mappings_) {
      const MappingPlaces& places = places_[number];
      for (const ReferenceEvent& event : events) addresses_[count++] = base_of(Vpn(places.place(event.page)));
    } else {
      for (const ReferenceEvent& event : events) addresses_[count++] = base_of(Vpn(placed(event.page)));
    }
    std::fill_n(addresses_.begin() + static_cast<std::ptrdiff_t>(count), kLookAhead, addresses_[count - 1]);
  }

  // False: the program was killed.
  bool call(const ReferenceEvent& event) {
    if (!exists(event.process)) return true;
    mm::Process& process = *processes_[event.process];
    switch (event.kind) {
      case ReferenceKind::read:
      case ReferenceKind::execute:
      case ReferenceKind::write: break;
      case ReferenceKind::map: map(process, event); return true;
      case ReferenceKind::unmap: unmap(process, event); return true;
      case ReferenceKind::discard:
        for_each_run(process, event, [&](mm::AddressSpace& space, VirtAddr at, ByteCount length) { return space.madvise(at, length, mm::Madvice::dont_need); });
        return true;
      case ReferenceKind::protect:
        for_each_run(process, event, [&](mm::AddressSpace& space, VirtAddr at, ByteCount length) { return space.mprotect(at, length, mm::Prot{event.protection}); });
        return true;
      case ReferenceKind::file_read:
      case ReferenceKind::file_write: return transfer(event);
      case ReferenceKind::fork: return fork(event.process, static_cast<std::uint32_t>(event.pages));
      case ReferenceKind::exit: exit(event.process); return true;
      case ReferenceKind::move: {
        const ByteCount length(event.pages << kPageShift);
        const mm::MremapArguments moved{base_of(Vpn(places_[event.process].place(event.page))), length, length, mm::kRemapMayMove | mm::kRemapFixed, base_of(Vpn(event.file_page))};
        places_[event.process].unmap(event.file_page, event.pages);
        places_[event.process].unmap(event.page, event.pages);
        last_ = nullptr;
        (void)process.run([&](mm::AddressSpace& space) { return space.mremap(moved); });
        return true;
      }
    }
    return true;
  }

  bool touch(mm::Process& process, VirtAddr address, bool write) {
    mm::Access met = process.access(address, write);
    if (met == mm::Access::segv_maperr && !has_mappings_) {
      map_around(process, address);
      met = process.access(address, write);
    }
    if (sees_accesses_) tell(process, address, write);
    if (met == mm::Access::hit) [[likely]]
      return true;
    if (met == mm::Access::out_of_memory) return killed(fmt::format("touching page {:#x} of process {}", address.value, process.pid()));
    if (refused(met)) return true;  // a signal the program took, too
    const bool major = met == mm::Access::major_fault;
    machine_->advance((major ? settings_.major_ns : settings_.minor_ns) + hits_since_ns());
    if (major && process.space().statistics().last_path == mm::FaultPath::file_read) machine_->wait_for_file(settings_.read_ahead_pages);
    MappingFaults& mapping = mapping_of(process, address);
    ++(major ? mapping.major : mapping.minor);
    return true;
  }

  // The hits since the last fault: time is only looked at where somebody may wait.
  std::uint64_t hits_since_ns() {
    const std::uint64_t hits = outcome_.references + source_.dropped() - hits_told_;
    hits_told_ += hits;
    return hits * settings_.hit_ns;
  }

  // A stream without mappings may number its pages as it likes, 0 and 2^63 included. Its regions are put one after the other as they
  // appear: neighbours stay neighbours, and page tables are as small as they can be.
  std::uint64_t placed(std::uint64_t page) {
    const std::uint64_t region = page / kRegionPages;
    std::uint64_t place = 0;
    if (region < kDenseRegions) [[likely]] {
      if (region >= dense_regions_.size()) dense_regions_.resize(region + 1, 0);
      std::uint32_t& known = dense_regions_[region];
      if (known == 0) known = static_cast<std::uint32_t>(kFirstRegion + region_count_++);
      place = known;
    } else {
      const auto [found, made] = regions_.try_emplace(region, kFirstRegion + region_count_);
      region_count_ += made ? 1 : 0;
      place = found->second;
    }
    return place * kRegionPages + page % kRegionPages;
  }

  void tell(mm::Process& process, VirtAddr address, bool write) {
    const mm::Pte* pte = process.space().page_table().entry(address.vpn());
    if (pte == nullptr || !pte->maps_frame()) return;
    machine_->reclaim()->on_access(pte->pfn(), {.time = outcome_.references, .write = write});
  }

  MappingFaults& mapping_of(const mm::Process& process, VirtAddr address) {
    const mm::Vma* vma = process.space().vmas().containing(address.value);
    if (last_ != nullptr && vma == last_vma_ && vma->start == last_start_ && vma->end == last_end_) return *last_;
    const auto file = vma->backing == nullptr ? path_of_.end() : path_of_.find(&vma->backing->object());
    const std::string name = file != path_of_.end() ? file->second : fmt::format("anonymous at {:#x}", vma->start);
    last_vma_ = vma;
    last_start_ = vma->start;
    last_end_ = vma->end;
    last_ = &mappings_[name];
    last_->name = name;
    return *last_;
  }

  mm::OpenFile* file_of(std::uint32_t number, std::uint64_t least_pages) {
    auto [found, made] = files_.try_emplace(number, nullptr);
    if (made) {
      const bool known = number < source_.files().size();
      const std::uint64_t pages = std::max(known ? source_.files()[number].pages : 0, least_pages);
      const bool elsewhere = known && is_resident(source_.files()[number].path);
      mm::FileObject& object = machine_->create_file({.size = pages << kPageShift, .elsewhere = elsewhere});
      if (known) path_of_[&object] = source_.files()[number].path;
      for (std::uint64_t page = 0; elsewhere && page < pages; ++page) object.add(page, 0);
      found->second = mm::OpenFile::open(object, true, {.window_pages = settings_.read_ahead_pages, .request_pages = settings_.read_ahead_pages});
    }
    mm::FileObject& object = found->second->object();
    if (object.pages() < least_pages) object.set_size(least_pages << kPageShift);
    return found->second;
  }

  bool is_resident(const std::string& path) const {
    return std::any_of(settings_.resident.begin(), settings_.resident.end(),
                       [&](const std::string& pattern) { return fnmatch(pattern.c_str(), path.c_str(), 0) == 0; });
  }

  // [event.page, + event.pages) of the stream, in the runs they have in the machine.
  template <typename Call>
  void for_each_run(mm::Process& process, const ReferenceEvent& event, Call&& call) {
    places_[event.process].for_each_run(event.page, event.pages, [&](std::uint64_t first, std::uint64_t pages) {
      (void)process.run([&](mm::AddressSpace& space) { return call(space, base_of(Vpn(first)), ByteCount(pages << kPageShift)); });
    });
  }

  void unmap(mm::Process& process, const ReferenceEvent& event) {
    for_each_run(process, event, [](mm::AddressSpace& space, VirtAddr at, ByteCount length) { return space.munmap(at, length); });
    places_[event.process].unmap(event.page, event.pages);
  }

  void map(mm::Process& process, const ReferenceEvent& event) {
    MappingPlaces& places = places_[event.process];
    if (event.file == trace::kNoFile) {
      places.map_anonymous(event.page, event.pages);
    } else {
      places.map_file(event.page, event.pages, event.file, event.file_page);
    }
    mm::MmapArguments arguments;
    arguments.address = base_of(Vpn(places.place(event.page)));
    arguments.length = ByteCount(event.pages << kPageShift);
    arguments.prot = mm::Prot{event.protection};
    arguments.flags = mm::kMapFixed | mm::kMapNoReserve | (event.shared ? mm::kMapShared : mm::kMapPrivate);
    if (event.file == trace::kNoFile) {
      arguments.flags |= mm::kMapAnonymous;
    } else {
      arguments.backing = file_of(event.file, event.file_page + event.pages);
      arguments.file_offset = event.file_page << kPageShift;
    }
    last_ = nullptr;
    (void)process.run([&](mm::AddressSpace& space) { return space.mmap(arguments); });
  }

  // A stream without mappings: memory is anonymous, and there when it is touched.
  void map_around(mm::Process& process, VirtAddr address) {
    mm::MmapArguments arguments;
    arguments.flags = mm::kMapFixedNoReplace | mm::kMapNoReserve | mm::kMapPrivate | mm::kMapAnonymous;
    arguments.address = VirtAddr(address.value / (kRegionPages << kPageShift) * (kRegionPages << kPageShift));
    arguments.length = ByteCount(kRegionPages << kPageShift);
    if (process.run([&](mm::AddressSpace& space) { return space.mmap(arguments); })) return;
    arguments.address = address.page_base();
    arguments.length = ByteCount(kPageSize);
    (void)process.run([&](mm::AddressSpace& space) { return space.mmap(arguments); });
  }

  // read(2) and write(2) through the page cache: no faults, but frames.
  bool transfer(const ReferenceEvent& event) {
    mm::OpenFile* const file = file_of(event.file, event.page + event.pages);
    const bool write = event.kind == ReferenceKind::file_write;
    const mm::FileTransfer done = write ? file->write(event.page, event.pages) : file->read(event.page, event.pages);
    outcome_.file_pages_read += done.pages_read;
    machine_->wait_for_file(done.pages_read);
    return done.enough_memory || killed(fmt::format("reading or writing page {} of file {}", event.page, event.file));
  }

  bool fork(std::uint32_t parent, std::uint32_t child) {
    const auto made = machine_->fork(processes_[parent]->pid());
    if (!made) return killed(fmt::format("fork of process {}", processes_[parent]->pid()));
    if (child >= processes_.size()) {
      processes_.resize(child + std::size_t{1}, nullptr);
      places_.resize(processes_.size());
    }
    processes_[child] = &machine_->process(*made);
    places_[child] = places_[parent];
    return true;
  }

  void exit(std::uint32_t number) {
    const mm::FaultCounters counted = machine_->exit(processes_[number]->pid());
    outcome_.minor_faults += counted.minor;
    outcome_.major_faults += counted.major;
    processes_[number] = nullptr;
    last_ = nullptr;
  }

  bool killed(std::string where) {
    outcome_.out_of_memory = true;
    outcome_.killed_at = std::move(where);
    return false;
  }

  LimitOutcome finish() {
    const mm::ReclaimStatistics& counted = machine_->reclaim()->statistics();
    outcome_.evicted = counted.evicted;
    outcome_.swapped_out = counted.swapped_out;
    outcome_.stall_ns = counted.stalled_ns + machine_->disk().waited_ns();
    outcome_.peak_pages = machine_->reclaim()->limit().peak() + settings_.kernel_pages;
    if (const mm::SwapSpace* swap = machine_->swap(); swap != nullptr) {
      outcome_.swapped_in = swap->device().read_pages();
      outcome_.stall_ns += swap->device().waited_ns();
    }
    outcome_.time_ns = machine_->clock().now_ns() + hits_since_ns();
    for (std::uint32_t number = 0; number < processes_.size(); ++number) {
      if (processes_[number] != nullptr) exit(number);
    }
    for (auto& [name, mapping] : mappings_) outcome_.mappings.push_back(mapping);
    std::stable_sort(outcome_.mappings.begin(), outcome_.mappings.end(),
                     [](const MappingFaults& a, const MappingFaults& b) { return a.major > b.major; });
    return std::move(outcome_);
  }

  trace::ReferenceSource& source_;
  LimitSettings settings_;
  std::unique_ptr<mm::Machine> machine_;
  std::vector<mm::Process*> processes_;  // by the stream's number; null: gone
  std::vector<MappingPlaces> places_ = std::vector<MappingPlaces>(1);  // by the same number
  std::unordered_map<std::uint32_t, mm::OpenFile*> files_;
  std::unordered_map<const mm::FileObject*, std::string> path_of_;
  std::map<std::string, MappingFaults> mappings_;
  MappingFaults* last_ = nullptr;  // of the latest fault
  const mm::Vma* last_vma_ = nullptr;
  std::uint64_t last_start_ = 0, last_end_ = 0;
  const bool has_mappings_;
  std::vector<std::uint32_t> dense_regions_;  // of a stream without mappings: their places, in the order they appeared; 0: not seen yet
  std::unordered_map<std::uint64_t, std::uint64_t> regions_;  // the same of high ones
  std::uint64_t region_count_ = 0;
  std::vector<VirtAddr> addresses_;  // of the touches at hand
  std::uint64_t hits_told_ = 0;  // whose time went by already
  bool sees_accesses_ = false;
  LimitOutcome outcome_;
};

}  // namespace

Result<LimitOutcome> replay_limited(trace::ReferenceSource& source, const LimitSettings& settings) {
  FL_CHECK(source.rewind());
  return LimitedReplay(source, settings).run();
}

}  // namespace faultline::replay
