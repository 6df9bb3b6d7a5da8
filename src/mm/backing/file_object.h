// FileObject: a file as memory sees it: its size and its pages in the page cache. Counterpart: struct inode with its
// struct address_space (mm/filemap.c, mm/shmem.c).
//
// Pages come and go in folios: 2^order pages, aligned to their own size. Every page has a frame of its own here.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

#include "mm/phys/frame_table.h"

namespace faultline::mm {

enum class FileType : std::uint8_t {
  disk,   // read from a device, written back to it; a shared mapping must ask before it writes (ext4)
  shmem,  // memory only: tmpfs, memfd_create, shared anonymous mappings
};

struct FileSettings {
  FileType type = FileType::disk;
  std::uint64_t size = 0;          // bytes
  bool elsewhere = false;          // its pages are charged to somebody else, who keeps them: no limit counts or takes them
  std::uint8_t max_order = 9;      // largest folio of the file system: mapping_max_folio_order(); 0: single pages
};

struct Folio {
  std::uint64_t first = 0;  // page index in the file
  std::uint8_t order = 0;
  bool marker = false;      // PG_readahead: whoever meets it starts the next read-ahead
  bool dirty = false;

  std::uint64_t pages() const { return std::uint64_t{1} << order; }
  std::uint64_t end() const { return first + pages(); }
  bool operator==(const Folio&) const = default;
};

class FileObject {
 public:
  FileObject(FrameTable& frames, const FileSettings& settings) : frames_(frames), settings_(settings) {}
  ~FileObject();  // nothing may map it any more
  FileObject(const FileObject&) = delete;
  FileObject& operator=(const FileObject&) = delete;

  FileType type() const { return settings_.type; }
  bool shmem() const { return settings_.type == FileType::shmem; }
  std::uint8_t max_order() const { return settings_.max_order; }
  std::uint64_t size() const { return settings_.size; }  // bytes
  std::uint64_t pages() const { return (settings_.size + kPageSize - 1) >> kPageShift; }
  std::uint64_t cached_pages() const { return cached_; }

  bool cached(std::uint64_t index) const { return slot(index) != nullptr; }
  Pfn frame(std::uint64_t index) const { return Pfn(slot(index)->pfn); }  // must be cached
  Folio folio(std::uint64_t index) const;                                 // the one that holds the page; must be cached
  // A folio with fresh frames. False when part of it is cached already, or frames run out.
  bool add(std::uint64_t first, std::uint8_t order, bool marker = false, bool dirty = false);
  std::uint64_t pages_added() const { return added_; }  // since the beginning: what was read or made
  void mark_accessed(std::uint64_t index);              // folio_mark_accessed()
  bool in_working_set(std::uint64_t index) const {      // folio_test_workingset()
    return frames_.observer() != nullptr && frames_.observer()->in_working_set(frame(index));
  }
  void set_marker(std::uint64_t index, bool marker);
  void set_dirty(std::uint64_t index, bool dirty);
  // The folio that holds `index` becomes smaller ones, such that one of them begins at `at`: halves, the half with `at` again,
  // down to single pages (folio_split() of Linux 6.18). No-op where one begins there already.
  void split(std::uint64_t index, std::uint64_t at);
  // The folio leaves the cache. Entries that map it must be gone.
  // evicted: by page replacement, which will know the pages again when they are read once more.
  void remove(std::uint64_t index, bool evicted = false);
  void set_size(std::uint64_t bytes) { settings_.size = bytes; }  // the pages are the caller's matter

  // Calls visit(const Folio&) in ascending order for the folios that begin in [first, end).
  template <typename Visit>
  void for_each_folio(std::uint64_t first, std::uint64_t end, Visit&& visit) const {
    for (std::uint64_t at = first; at < end;) {
      const Chunk* chunk = chunk_of(at);
      if (chunk == nullptr) {
        at = (at / kChunkPages + 1) * kChunkPages;
        continue;
      }
      const Slot& found = (*chunk)[at % kChunkPages];
      if (!found.cached) {
        ++at;
        continue;
      }
      const Folio one = folio(at);
      at = one.end();
      if (one.first >= first) visit(one);
    }
  }
  void check_invariants() const;

 private:
  struct Slot {
    std::uint64_t pfn : 48 = 0;    // not cached: Frame::page of an evicted page plus 1 (a shadow entry), or 0
    std::uint64_t order : 5 = 0;
    std::uint64_t cached : 1 = 0;
    std::uint64_t marker : 1 = 0;  // marker and dirty: of the folio, kept on its first page
    std::uint64_t dirty : 1 = 0;
  };
  static_assert(sizeof(Slot) == 8);
  static constexpr std::uint64_t kChunkPages = 512;
  using Chunk = std::array<Slot, kChunkPages>;

  std::uint32_t take_shadow(std::uint64_t first, std::uint64_t end);
  const Chunk* chunk_of(std::uint64_t index) const;
  Chunk* chunk_of(std::uint64_t index) { return const_cast<Chunk*>(std::as_const(*this).chunk_of(index)); }
  const Slot* slot(std::uint64_t index) const {
    const Chunk* chunk = chunk_of(index);
    if (chunk == nullptr) return nullptr;
    const Slot& found = (*chunk)[index % kChunkPages];
    return found.cached ? &found : nullptr;
  }
  Slot& head(std::uint64_t index);

  FrameTable& frames_;
  FileSettings settings_;
  std::uint64_t cached_ = 0;
  std::uint64_t added_ = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<Chunk>> chunks_;
  mutable std::uint64_t last_number_ = ~std::uint64_t{0};  // the chunk looked at last
  mutable Chunk* last_ = nullptr;
};

}  // namespace faultline::mm
