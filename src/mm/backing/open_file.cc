#include "mm/backing/open_file.h"

#include <algorithm>

#include "base/assert.h"

namespace faultline::mm {

OpenFile* OpenFile::open(FileObject& object, bool writable, const ReadAheadLimits& limits) {
  return new OpenFile(object, writable, limits);
}

OpenFile* OpenFile::shared_memory(FrameTable& frames, std::uint64_t bytes, std::uint64_t charged) {
  auto own = std::make_unique<FileObject>(frames, FileSettings{.type = FileType::shmem, .size = bytes, .max_order = 0});
  auto* made = new OpenFile(*own, true, ReadAheadLimits{});
  made->own_ = std::move(own);
  made->frames_ = &frames;
  made->charged_ = charged;
  return made;
}

OpenFile::~OpenFile() {
  if (charged_ > 0) frames_->commit().uncharge(charged_);
}

void OpenFile::release() {
  FL_ASSERT(references_ > 0);
  if (--references_ == 0) delete this;
}

FileFault OpenFile::fault(std::uint64_t index, const ReadPattern& pattern, bool tried) {
  FileObject& file = *object_;
  if (index >= file.pages()) return {FileFault::beyond_end};
  if (file.shmem()) {
    if (!file.cached(index) && !file.add(index, 0, false, true)) return {FileFault::no_memory};
    return {};
  }
  if (file.cached(index)) {
    const bool read = !tried && read_ahead_.hit(file, index, pattern);
    return {read ? FileFault::retry : FileFault::ready};
  }
  (void)read_ahead_.miss(file, index, pattern);
  if (!file.cached(index) && !file.add(index, 0)) return {FileFault::no_memory, true};
  // Reading lets go of the locks, whether read-ahead did it or this page alone.
  return {tried ? FileFault::ready : FileFault::retry, true};
}

FileTransfer OpenFile::read(std::uint64_t first, std::uint64_t pages) {
  FileObject& file = *object_;
  const std::uint64_t before = file.pages_added();
  FileTransfer done;
  const std::uint64_t end = std::min(first + pages, file.pages());
  for (std::uint64_t at = first; at < end && done.enough_memory;) {
    read_ahead_.read(file, at, end - at);
    if (!file.cached(at) && !file.add(at, 0)) {
      done.enough_memory = file.cached(at);
      continue;
    }
    const Folio folio = file.folio(at);
    if (last_read_ < folio.first || last_read_ >= folio.end()) file.mark_accessed(at);  // pos_same_folio(): going on where it ended is one access
    last_read_ = std::min(folio.end(), end) - 1;
    at = last_read_ + 1;
  }
  if (last_read_ != ~std::uint64_t{0}) read_ahead_.read_done(last_read_ + 1);
  done.pages_read = file.pages_added() - before;
  return done;
}

FileTransfer OpenFile::write(std::uint64_t first, std::uint64_t pages) {
  FileObject& file = *object_;
  FileTransfer done;
  for (std::uint64_t at = first; at < first + pages && done.enough_memory; ++at) {
    if (!file.cached(at) && !file.add(at, 0)) done.enough_memory = file.cached(at);
    if (done.enough_memory) file.set_dirty(at, true);
  }
  return done;
}

}  // namespace faultline::mm
