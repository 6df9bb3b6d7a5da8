#include "mm/backing/file_object.h"

#include <utility>
#include <vector>

#include "base/assert.h"

namespace faultline::mm {

FileObject::~FileObject() {
  std::vector<std::uint64_t> firsts;
  for (const auto& [number, chunk] : chunks_) {
    for_each_folio(number * kChunkPages, (number + 1) * kChunkPages, [&](const Folio& one) { firsts.push_back(one.first); });
  }
  for (const std::uint64_t first : firsts) remove(first);
  if (frames_.observer() == nullptr) return;
  for (const auto& [number, chunk] : chunks_) {
    for (const Slot& one : *chunk) {
      if (!one.cached && one.pfn != 0) frames_.observer()->on_forgotten(static_cast<std::uint32_t>(one.pfn - 1));
    }
  }
}

const FileObject::Chunk* FileObject::chunk_of(std::uint64_t index) const {
  const std::uint64_t number = index / kChunkPages;
  if (number == last_number_) return last_;
  const auto found = chunks_.find(number);
  if (found == chunks_.end()) return nullptr;
  last_number_ = number;
  last_ = found->second.get();
  return last_;
}

Folio FileObject::folio(std::uint64_t index) const {
  const Slot* found = slot(index);
  FL_ASSERT(found != nullptr);
  const std::uint64_t first = index >> found->order << found->order;
  const Slot* head = slot(first);
  return {first, static_cast<std::uint8_t>(found->order), head->marker != 0, head->dirty != 0};
}

// What an evicted folio left behind in [first, end); of several the first, the others are forgotten.
std::uint32_t FileObject::take_shadow(std::uint64_t first, std::uint64_t end) {
  std::uint32_t found = kNoFramePage;
  if (frames_.observer() == nullptr || chunk_of(first) == nullptr) return found;
  for (std::uint64_t index = first; index < end; ++index) {
    Slot& one = (*chunk_of(index))[index % kChunkPages];
    if (one.cached || one.pfn == 0) continue;
    const auto page = static_cast<std::uint32_t>(one.pfn - 1);
    one = Slot{};
    if (found == kNoFramePage) {
      found = page;
    } else {
      frames_.observer()->on_forgotten(page);
    }
  }
  return found;
}

FileObject::Slot& FileObject::head(std::uint64_t index) {
  const std::uint64_t first = folio(index).first;
  return (*chunk_of(first))[first % kChunkPages];
}

bool FileObject::add(std::uint64_t first, std::uint8_t order, bool marker, bool dirty) {
  const std::uint64_t end = first + (std::uint64_t{1} << order);
  FL_ASSERT(first % (end - first) == 0);
  for (std::uint64_t index = first; index < end; ++index) {
    if (cached(index)) return false;
  }
  if (frames_.available() < end - first || (!settings_.elsewhere && !frames_.charge_folio(end - first))) return false;
  // All frames first: making room for one may take other pages of this file away.
  std::array<Pfn, kChunkPages> taken;
  for (std::uint64_t index = first; index < end; ++index) {
    const std::optional<Pfn> pfn = frames_.allocate_page(*this, index, shmem() ? FrameUse::shmem : FrameUse::file, settings_.elsewhere);
    if (!pfn) {  // of a single page: a folio's room was made above
      FL_ASSERT(index == first);
      return false;
    }
    taken[index - first] = *pfn;
  }
  const std::uint32_t shadow = take_shadow(first, end);
  for (std::uint64_t index = first; index < end; ++index) {
    std::unique_ptr<Chunk>& chunk = chunks_[index / kChunkPages];
    if (chunk == nullptr) chunk = std::make_unique<Chunk>();
    Slot& made = (*chunk)[index % kChunkPages];
    made = Slot{};
    made.pfn = taken[index - first].value;
    made.order = order;
    made.cached = 1;
  }
  cached_ += end - first;
  added_ += end - first;
  Slot& first_slot = head(first);
  first_slot.marker = marker;
  first_slot.dirty = dirty;
  if (frames_.observer() != nullptr && !settings_.elsewhere) {
    frames_.at(taken[0]).page = shadow;
    frames_.observer()->on_taken(taken[0]);
  }
  return true;
}

void FileObject::mark_accessed(std::uint64_t index) {
  if (frames_.observer() != nullptr) frames_.observer()->on_marked_accessed(frame(index));
}

void FileObject::set_marker(std::uint64_t index, bool marker) { head(index).marker = marker; }
void FileObject::set_dirty(std::uint64_t index, bool dirty) { head(index).dirty = dirty; }

void FileObject::split(std::uint64_t index, std::uint64_t at) {
  const Folio whole = folio(index);
  if (at <= whole.first || at >= whole.end()) return;
  const auto cut = [&](auto&& self, std::uint64_t first, std::uint8_t order) -> void {
    const std::uint64_t pages = std::uint64_t{1} << order;
    const bool inside = at >= first && at < first + pages;
    if (inside && order > 0) {
      self(self, first, static_cast<std::uint8_t>(order - 1));
      self(self, first + pages / 2, static_cast<std::uint8_t>(order - 1));
      return;
    }
    for (std::uint64_t page = first; page < first + pages; ++page) {
      Slot& one = (*chunk_of(page))[page % kChunkPages];
      one.order = order;
      one.marker = 0;
      one.dirty = page == first && whole.dirty;
    }
  };
  if (frames_.observer() != nullptr) frames_.observer()->on_split(frame(whole.first));
  cut(cut, whole.first, whole.order);
  if (frames_.observer() == nullptr) return;
  for_each_folio(whole.first, whole.end(), [this](const Folio& one) { frames_.observer()->on_taken(frame(one.first)); });
}

void FileObject::remove(std::uint64_t index, bool evicted) {
  const Folio gone = folio(index);
  for (std::uint64_t at = gone.first; at < gone.end(); ++at) {
    Slot& one = (*chunk_of(at))[at % kChunkPages];
    FL_ASSERT(frames_.at(Pfn(one.pfn)).users == 0);
    const std::uint32_t page = frames_.at(Pfn(one.pfn)).page;
    frames_.release(Pfn(one.pfn));
    one = Slot{};
    if (evicted && page != kNoFramePage) one.pfn = page + std::uint64_t{1};
  }
  cached_ -= gone.pages();
}

void FileObject::check_invariants() const {
  std::uint64_t seen = 0;
  for (const auto& [number, chunk] : chunks_) {
    for (std::uint64_t at = 0; at < kChunkPages; ++at) {
      const Slot& one = (*chunk)[at];
      if (!one.cached) continue;
      ++seen;
      const std::uint64_t index = number * kChunkPages + at;
      const Frame& frame = frames_.at(Pfn(one.pfn));
      FL_ASSERT(frame.use == (shmem() ? FrameUse::shmem : FrameUse::file));
      FL_ASSERT(frame.file == this && frame.index == index && frame.references == frame.users + 1);
      const Folio whole = folio(index);
      for (std::uint64_t page = whole.first; page < whole.end(); ++page) FL_ASSERT(cached(page) && folio(page) == whole);
    }
  }
  FL_ASSERT(seen == cached_);
}

}  // namespace faultline::mm
