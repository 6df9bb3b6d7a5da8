#include "replay/follow/recorded_files.h"

namespace faultline::replay {

RecordedFiles::RecordedFiles(mm::Machine& machine, std::span<const trace::CachedFile> cached) {
  for (const trace::CachedFile& file : cached) {
    mm::FileObject& object = machine.create_file({.type = file.memory_only ? mm::FileType::shmem : mm::FileType::disk, .size = file.size_bytes, .max_order = file.max_order});
    for (const trace::CachedFolio& folio : file.folios) {
      if (folio.first < object.pages() && folio.order <= 9) (void)object.add(folio.first, folio.order, folio.marker, folio.dirty);
    }
    files_[{file.device, file.inode}] = {&object, {file.window_pages, file.request_pages}};
  }
}

RecordedFiles::~RecordedFiles() {
  for (auto& [key, file] : open_) file->release();
}

FileChoice RecordedFiles::choose(const trace::MappingEvent& mapping, trace::Pid pid, std::int32_t descriptor, bool writable) {
  const FileKey key{mapping.device, mapping.inode};
  const auto found = files_.find(key);
  if (found == files_.end()) {
    const auto [at, is_new] = numbers_.try_emplace(key, next_number_);
    if (is_new) ++next_number_;
    return {nullptr, at->second};
  }
  mm::OpenFile*& open = open_[{pid, descriptor, key, writable}];
  if (open == nullptr) open = mm::OpenFile::open(*found->second.object, writable, found->second.read_ahead);
  return {open, 0};
}

}  // namespace faultline::replay
