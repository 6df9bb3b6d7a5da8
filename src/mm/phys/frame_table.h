// FrameTable: the machine's physical frames, each with a use, a reference count and the page-table entries that map it.
// Counterpart: mem_map's struct page/folio with the buddy allocator reduced to single frames; the list of users stands
// for the reverse map (mm/rmap.c), which Linux computes from the page's anon_vma or file instead.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/units.h"
#include "mm/phys/commit_ledger.h"
#include "mm/phys/frame_observer.h"

namespace faultline::mm {

class AddressSpace;
class FileObject;
class SwapSpace;   // backing/swap_space.h
struct TablePage;  // contents of a page-table frame (paging/page_table.h)

// One page-table entry that maps a frame.
struct FrameUser {
  AddressSpace* space = nullptr;
  Vpn vpn{};
  bool operator==(const FrameUser&) const = default;
};

inline constexpr std::uint32_t kNoFramePage = ~std::uint32_t{0};

struct alignas(64) Frame {  // one line of the processor's cache
  std::uint32_t references = 0;  // users, and whoever else holds it; 0 only when free
  std::uint32_t users = 0;       // page-table entries that map it (mapcount)
  FrameUse use = FrameUse::free;
  bool lazy_free = false;        // use anonymous: MADV_FREE was here and contents need not be kept (not PG_swapbacked)
  bool left_locked = false;      // was locked by a mapping that lost its lock without munlock (PG_mlocked stays); see after_dont_unmap()
  // Use anonymous: the one entry that maps it may be writable (PageAnonExclusive). Gone with fork, back with the first
  // write fault that finds nobody else.
  bool exclusive = false;
  bool swap_cache = false;       // use anonymous: `index` is the swap slot that holds or will hold its contents
  bool modified = false;         // use anonymous: contents that no swap slot has (PG_dirty); entries may know of more
  bool read_ahead = false;       // brought in beside the page that was asked for, and not touched yet (PG_readahead); or, while it is written, to be taken next (PG_reclaim)
  bool elsewhere = false;        // charged to another group: page replacement knows nothing of it
  bool writing = false;          // on its way to the device (PG_writeback)
  bool reading = false;          // on its way from it (PG_locked)
  std::uint32_t page = kNoFramePage;  // its number with page replacement; see reclaim/
  std::uint32_t more = 0;        // the other users: first link of a list in FrameTable::links_, 0 none
  FrameUser user{};              // one of the users, if there are any
  union {
    TablePage* table = nullptr;  // use page_table: what it holds; owned by the PageTable
    FileObject* file;            // use file or shmem: whose page cache it is in; null: a page of an opaque file
  };
  std::uint64_t index = 0;       // use file or shmem: page of the file; anonymous: swap slot
};

static_assert(sizeof(Frame) == 64);

class FrameTable {
 public:
  static constexpr std::uint64_t kNoLimit = ~std::uint64_t{0};

  // limit: frames of the machine, the zero page not counted.
  explicit FrameTable(std::uint64_t limit = kNoLimit);

  // A frame with one reference, or nothing when the machine is full. The lowest free number is not promised.
  std::optional<Pfn> allocate(FrameUse use, bool elsewhere = false) {
    if (!elsewhere) {
      if (observer_ != nullptr && charged_ == 0 && !observer_->charge(1)) return std::nullopt;
      if (charged_ > 0) --charged_;
    }
    if (in_use_ >= limit_) return std::nullopt;
    std::uint64_t number;
    if (free_.empty()) {
      number = frames_.size();
      frames_.emplace_back();
    } else {
      number = free_.back();
      free_.pop_back();
    }
    frames_[number] = Frame{};
    frames_[number].references = 1;
    frames_[number].use = use;
    frames_[number].elsewhere = elsewhere;
    if (use == FrameUse::file || use == FrameUse::shmem) frames_[number].file = nullptr;
    ++in_use_;
    ++by_use_[static_cast<std::size_t>(use)];
    return Pfn(number);
  }
  // A fresh frame whose only reference is that entry.
  std::optional<Pfn> allocate_for(FrameUse use, FrameUser user) {
    const std::optional<Pfn> pfn = allocate(use);
    if (!pfn) return pfn;
    Frame& frame = frames_[pfn->value];
    frame.users = 1;
    frame.user = user;
    frame.exclusive = use == FrameUse::anonymous;
    frame.modified = true;
    if (observer_ != nullptr) observer_->on_taken(*pfn);
    return pfn;
  }
  // The next frames are those of one folio: their room is made at once. False: there is none for all of them.
  bool charge_folio(std::uint64_t pages) {
    if (observer_ == nullptr || pages <= 1) return true;
    if (!observer_->charge(pages)) return false;
    charged_ = pages;
    return true;
  }
  // A frame for a page that is known: of a file, or what a swap slot holds.
  std::optional<Pfn> allocate_page(FileObject& file, std::uint64_t index, FrameUse use, bool elsewhere = false) {
    const std::optional<Pfn> pfn = allocate(use, elsewhere);
    if (!pfn) return pfn;
    frames_[pfn->value].file = &file;
    frames_[pfn->value].index = index;
    return pfn;
  }
  std::optional<Pfn> allocate_swapped(SwapSlot slot, std::uint32_t page) {
    const std::optional<Pfn> pfn = allocate(FrameUse::anonymous);
    if (!pfn) return pfn;
    frames_[pfn->value].swap_cache = true;
    frames_[pfn->value].index = slot.value;
    frames_[pfn->value].page = page;
    if (observer_ != nullptr) observer_->on_taken(*pfn);
    return pfn;
  }
  void acquire(Pfn pfn);
  void release(Pfn pfn);  // the last reference frees it

  // The reverse map. Each user holds a reference.
  void map(Pfn pfn, FrameUser user);
  void unmap(Pfn pfn, FrameUser user) {
    if (Frame& frame = at(pfn); frame.users == 1 && frame.user == user) {
      frame.users = 0;
      frame.user = {};
      release(pfn);
      return;
    }
    unmap_one_of_many(pfn, user);
  }
  void move_user(Pfn pfn, FrameUser from, FrameUser to);
  bool used_by(Pfn pfn, FrameUser user) const;
  template <typename Visit>
  void for_each_user(Pfn pfn, Visit&& visit) const {
    const Frame& frame = at(pfn);
    if (frame.users == 0) return;
    visit(frame.user);
    for (std::uint32_t at = frame.more; at != 0; at = links_[at].next) visit(links_[at].user);
  }

  Frame& at(Pfn pfn) { return frames_[pfn.value]; }
  const Frame& at(Pfn pfn) const { return frames_[pfn.value]; }
  Pfn zero_frame() const { return Pfn(0); }  // mapped by any number of entries, never counted
  std::uint64_t in_use() const { return in_use_; }
  std::uint64_t available() const { return limit_ - in_use_; }
  std::uint64_t count(FrameUse use) const { return by_use_[static_cast<std::size_t>(use)]; }
  std::uint64_t limit() const { return limit_; }
  // Page replacement, where memory is limited; null otherwise. Both outlive the table's use.
  void set_observer(FrameObserver* observer) { observer_ = observer; }
  FrameObserver* observer() const { return observer_; }
  void set_swap(SwapSpace* swap) { swap_ = swap; }
  SwapSpace* swap() const { return swap_; }
  CommitLedger& commit() { return commit_; }
  const CommitLedger& commit() const { return commit_; }
  void check_invariants() const;

 private:
  struct Link {
    FrameUser user{};
    std::uint32_t next = 0;
  };

  void unmap_one_of_many(Pfn pfn, FrameUser user);
  FrameUser& find_user(Frame& frame, FrameUser user);

  std::uint64_t limit_;
  std::uint64_t in_use_ = 0;
  FrameObserver* observer_ = nullptr;
  std::uint64_t charged_ = 0;  // frames whose room was made already
  SwapSpace* swap_ = nullptr;
  CommitLedger commit_;
  std::array<std::uint64_t, kFrameUses> by_use_{};
  std::vector<Frame> frames_;
  std::vector<std::uint64_t> free_;
  std::vector<Link> links_{Link{}};  // users of frames that have several; number 0 is no link
  std::uint32_t free_links_ = 0;
};

}  // namespace faultline::mm
