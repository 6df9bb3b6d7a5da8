// OpenFile: one open(2) of a file: who may write through it, and how it was read so far. Mappings of one OpenFile may
// merge, and share its read-ahead. Counterpart: struct file; filemap_fault() (mm/filemap.c), shmem_fault() (mm/shmem.c).
#pragma once

#include <cstdint>
#include <memory>

#include "mm/backing/file_object.h"
#include "mm/backing/read_ahead.h"

namespace faultline::mm {

// How a fault fared in the file. retry: the page was read meanwhile, the fault starts over (VM_FAULT_RETRY).
struct FileFault {
  enum Status : std::uint8_t { ready, retry, beyond_end, no_memory } status = ready;
  bool major = false;
};

// What read(2) or write(2) did in the page cache.
struct FileTransfer {
  std::uint64_t pages_read = 0;  // from the device, read-ahead included
  bool enough_memory = true;
};

class OpenFile {
 public:
  // Mappings and whoever opened it hold references; the last one deletes it.
  static OpenFile* open(FileObject& object, bool writable, const ReadAheadLimits& limits);
  // A file of its own that lives as long as its mappings: MAP_SHARED | MAP_ANONYMOUS. charged: pages of commit that go
  // back with it.
  static OpenFile* shared_memory(FrameTable& frames, std::uint64_t bytes, std::uint64_t charged);
  void acquire() { ++references_; }
  void release();

  FileObject& object() const { return *object_; }
  bool writable() const { return writable_; }
  bool may_read() const { return true; }
  ReadAhead& read_ahead() { return read_ahead_; }

  // filemap_fault() or shmem_fault(): makes the page be in the cache. tried: a retry of a fault that was major.
  FileFault fault(std::uint64_t index, const ReadPattern& pattern, bool tried);
  // filemap_read(), generic_perform_write(): pages [first, first + pages) go through the page cache, and count as accessed by it.
  // Written pages are dirty; a page is taken to be written whole.
  FileTransfer read(std::uint64_t first, std::uint64_t pages);
  FileTransfer write(std::uint64_t first, std::uint64_t pages);

 private:
  OpenFile(FileObject& object, bool writable, const ReadAheadLimits& limits)
      : object_(&object), writable_(writable), read_ahead_(limits) {}
  ~OpenFile();

  FileObject* object_;
  std::unique_ptr<FileObject> own_;  // shared memory
  FrameTable* frames_ = nullptr;
  std::uint64_t charged_ = 0;
  bool writable_ = false;
  std::uint64_t references_ = 1;
  std::uint64_t last_read_ = ~std::uint64_t{0};  // page read(2) ended in: reading on in it is no second access
  ReadAhead read_ahead_;
};

}  // namespace faultline::mm
