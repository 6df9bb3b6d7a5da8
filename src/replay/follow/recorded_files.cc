#include "replay/follow/recorded_files.h"

#include <set>

#include "base/units.h"

namespace faultline::replay {

namespace {

using FilePage = std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>;  // device, inode, page

std::set<FilePage> read_from_disk(const KernelRun& run) {
  std::set<FilePage> pages;
  for (const auto& [pid, process] : run.processes) {
    for (const trace::FaultEvent& fault : process.faults) {
      if (fault.kind != trace::FaultKind::major) continue;
      const trace::MappingEvent* under = nullptr;
      for (const trace::MappingEvent& mapping : process.mappings) {
        if (mapping.time_ns <= fault.time_ns && mapping.start <= fault.address && fault.address < mapping.end) under = &mapping;
      }
      if (under != nullptr && under->inode != 0) pages.insert({under->device, under->inode, (under->offset + fault.address - under->start) >> kPageShift});
    }
  }
  return pages;
}

}  // namespace

RecordedFiles::RecordedFiles(mm::Machine& machine, std::span<const trace::CachedFile> cached, const KernelRun& run) : machine_(machine) {
  const std::set<FilePage> read = read_from_disk(run);
  for (const trace::CachedFile& file : cached) {
    mm::FileObject& object = machine.create_file({.type = file.memory_only ? mm::FileType::shmem : mm::FileType::disk, .size = file.size_bytes, .max_order = file.max_order});
    for (const trace::CachedFolio& folio : file.folios) {
      if (folio.first >= object.pages() || folio.order > 9) continue;
      const auto first_read = read.lower_bound({file.device, file.inode, folio.first});
      const FilePage end{file.device, file.inode, folio.first + (std::uint64_t{1} << folio.order)};
      if (first_read != read.end() && *first_read < end) continue;
      (void)object.add(folio.first, folio.order, folio.marker, folio.dirty);
    }
    object_names_[&object] = file.path;
    files_[{file.device, file.inode}] = {&object, {file.window_pages, file.request_pages}};
  }
}

RecordedFiles::~RecordedFiles() {
  for (auto& [key, file] : open_) file->release();
  for (mm::OpenFile* file : attached_) file->release();
}

FileChoice RecordedFiles::shared_segment(const trace::MappingEvent& mapping) {
  const std::uint64_t bytes = mapping.end - mapping.start;
  mm::FileObject*& segment = segments_[{mapping.device, mapping.inode}];
  if (segment == nullptr) segment = &machine_.create_file({.type = mm::FileType::shmem, .size = bytes});
  object_names_[segment] = mapping.path;
  attached_.push_back(mm::OpenFile::open(*segment, true, {}));
  return {attached_.back(), 0, bytes};
}

FileChoice RecordedFiles::choose(const trace::MappingEvent& mapping, trace::Pid pid, std::int32_t descriptor, bool writable) {
  const FileKey key{mapping.device, mapping.inode};
  const auto found = files_.find(key);
  if (found == files_.end()) {
    const auto [at, is_new] = numbers_.try_emplace(key, next_number_);
    if (is_new) number_names_[next_number_++] = mapping.path;
    return {nullptr, at->second};
  }
  mm::OpenFile*& open = open_[{pid, descriptor, key, writable}];
  if (open == nullptr) open = mm::OpenFile::open(*found->second.object, writable, found->second.read_ahead);
  return {open, 0};
}

std::string RecordedFiles::name_of(const mm::Vma& vma) const {
  if (vma.anonymous()) return {};
  if (vma.backing != nullptr) {
    const auto found = object_names_.find(&vma.backing->object());
    return found == object_names_.end() ? std::string() : found->second;
  }
  const auto found = number_names_.find(vma.file);
  return found == number_names_.end() ? std::string() : found->second;
}

}  // namespace faultline::replay
