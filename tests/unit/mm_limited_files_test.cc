// Files under a limit: what counts as an access, which statistics decide, and files that somebody else keeps in memory.
#include <gtest/gtest.h>

#include <vector>

#include "mm/backing/open_file.h"
#include "mm/machine/machine.h"
#include "mm/reclaim/lru_lists.h"

namespace faultline::mm {
namespace {

// Notes what page replacement is told of files.
class Notes final : public FrameObserver {
 public:
  bool charge(std::uint64_t pages) override {
    charged += pages;
    return true;
  }
  void on_taken(Pfn) override {}
  void on_split(Pfn) override {}
  void on_freed(Pfn) override { --charged; }
  void on_forgotten(std::uint32_t) override {}
  void on_marked_accessed(Pfn) override { ++marked; }
  void on_read_begun() override {}
  void prefetch_returning(std::uint32_t) const override {}
  bool in_working_set(Pfn) const override { return false; }
  std::uint64_t charged = 0;
  unsigned marked = 0;
};

// filemap_read(), pos_same_folio(): a reader that goes on inside the folio it stopped in has touched it once.
TEST(LimitedFiles, ReadingOnInAFolioIsOneAccess) {
  FrameTable frames;
  Notes notes;
  frames.set_observer(&notes);
  FileObject file(frames, {.size = 64 << kPageShift});
  ASSERT_TRUE(file.add(0, 5));
  ASSERT_TRUE(file.add(32, 5));
  OpenFile* const opened = OpenFile::open(file, false, ReadAheadLimits{});
  (void)opened->read(0, 16);
  (void)opened->read(16, 16);
  EXPECT_EQ(notes.marked, 1u);
  (void)opened->read(32, 16);
  EXPECT_EQ(notes.marked, 2u);
  (void)opened->read(0, 16);
  EXPECT_EQ(notes.marked, 3u);
  opened->release();
}

TEST(LimitedFiles, WhatIsChargedElsewhereTakesNoRoomAndStays) {
  MachineConfig config;
  config.reclaim.emplace();
  config.reclaim->limit_pages = 100;
  config.swap.pages = 4096;
  const auto machine = Machine::create(config);
  FileObject& library = machine->create_file({.size = 400 << kPageShift, .elsewhere = true});
  for (std::uint64_t page = 0; page < 400; ++page) ASSERT_TRUE(library.add(page, 0));
  EXPECT_EQ(machine->reclaim()->limit().usage(), 0u);
  OpenFile* const opened = OpenFile::open(library, false, ReadAheadLimits{});
  Process& process = machine->start();
  const VirtAddr code = *process.run([&](AddressSpace& space) {
    return space.mmap({.length = ByteCount(400 << kPageShift), .prot = kProtRead, .flags = kMapPrivate, .backing = opened});
  });
  const VirtAddr heap = *process.run([&](AddressSpace& space) { return space.mmap({.length = ByteCount(300 << kPageShift)}); });
  for (std::uint64_t page = 0; page < 400; ++page) EXPECT_NE(process.access(code + ByteCount(page << kPageShift), false), Access::major_fault);
  for (std::uint64_t page = 0; page < 300; ++page) EXPECT_FALSE(refused(process.access(heap + ByteCount(page << kPageShift), true)));
  EXPECT_EQ(library.cached_pages(), 400u);
  machine->check_invariants();
  for (std::uint64_t page = 0; page < 400; ++page) EXPECT_EQ(process.access(code + ByteCount(page << kPageShift), false), Access::hit);
  opened->release();
}

// folio_referenced() counts mappings: a folio of 16 pages that one process has accessed goes round once, as a single page does.
TEST(LimitedFiles, AFolioIsAccessedOnceForEachMapping) {
  MachineConfig config;
  config.reclaim.emplace();
  config.reclaim->limit_pages = 1000;
  const auto machine = Machine::create(config);
  FileObject& file = machine->create_file({.size = 64 << kPageShift});
  ASSERT_TRUE(file.add(0, 4));
  OpenFile* const opened = OpenFile::open(file, false, ReadAheadLimits{});
  Process& process = machine->start();
  const VirtAddr base = *process.run([&](AddressSpace& space) {
    return space.mmap({.length = ByteCount(64 << kPageShift), .prot = kProtRead, .flags = kMapShared, .backing = opened});
  });
  for (std::uint64_t page = 0; page < 16; ++page) (void)process.access(base + ByteCount(page << kPageShift), false);
  const PageId page = machine->frames().at(file.frame(0)).page;
  EXPECT_EQ(machine->reclaim()->accessed_entries(page), 1u);
  EXPECT_EQ(machine->reclaim()->accessed_entries(page), 0u);
  opened->release();
}

// lruvec_page_state(): decisions follow the last sum of the statistics, at first zeroes.
TEST(LimitedFiles, StatisticsDecideAsOfTheirLastSum) {
  LruLists lists(0);
  lists.keep_statistics();
  for (PageId page = 0; page < 64; ++page) lists.insert(page, PageKind::anonymous, true);
  lists.drain();
  for (PageId page = 0; page < 60; ++page) lists.move(page, Lru::active_anon);
  EXPECT_EQ(lists.size(Lru::active_anon), 60u);
  EXPECT_FALSE(lists.inactive_is_low(PageKind::anonymous));
  lists.publish();
  EXPECT_TRUE(lists.inactive_is_low(PageKind::anonymous));
  // A page that comes back is measured against the sum, too.
  lists.evict(0);
  EXPECT_TRUE(lists.insert(0, PageKind::anonymous, true));
  lists.check_invariants();
}

// Fresh pages wait in a batch of 31 (folio_batch), where nobody who looks for pages finds them.
TEST(LimitedFiles, FreshPagesComeToTheirListInBatches) {
  LruLists lists(0);
  for (PageId page = 0; page < 30; ++page) lists.insert(page, PageKind::anonymous, true);
  EXPECT_EQ(lists.size(Lru::inactive_anon), 0u);
  lists.forget(7);
  lists.insert(30, PageKind::anonymous, true);
  EXPECT_EQ(lists.size(Lru::inactive_anon), 0u);
  lists.insert(31, PageKind::anonymous, true);
  EXPECT_EQ(lists.size(Lru::inactive_anon), 31u);
  lists.insert(32, PageKind::file, true, 16);  // a large folio takes the others along
  EXPECT_EQ(lists.size(Lru::inactive_file), 16u);
  lists.check_invariants();
}

}  // namespace
}  // namespace faultline::mm
