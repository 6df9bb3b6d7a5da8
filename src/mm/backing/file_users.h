// What is done to a file's pages wherever they are mapped. Counterpart: mm/truncate.c, folio_mkclean() and
// try_to_unmap() (mm/rmap.c), filemap_fdatawrite().
#pragma once

#include <cstdint>

#include "mm/backing/file_object.h"

namespace faultline::mm {

// space/ provides these two: backing/ sees frames and their users, not address spaces.
using ForEntry = void (*)(const FrameUser&);

// Dirty folios of pages [first, end) are written: their entries become read-only and clean, so that the next write is
// noticed again. Memory-only files have nothing to write.
void write_back(FrameTable& frames, FileObject& file, std::uint64_t first, std::uint64_t end, ForEntry clean);
// Pages [first, end) leave the cache, with every entry that maps one of them. A larger folio that reaches out of the range
// is split, and what is left of it loses its entries too; a disk's dirty one cannot be split (its buffers are in use): it
// loses its entries and stays whole.
void remove_pages(FrameTable& frames, FileObject& file, std::uint64_t first, std::uint64_t end, ForEntry forget);
// The folio's entries go, and it becomes single pages; nothing happens to a dirty one (split_folio()).
void split_completely(FrameTable& frames, FileObject& file, std::uint64_t index, ForEntry forget);
// posix_fadvise(DONTNEED), drop_caches: clean folios that nobody maps leave the cache.
void drop_unused(FrameTable& frames, FileObject& file, std::uint64_t first, std::uint64_t end);

}  // namespace faultline::mm
