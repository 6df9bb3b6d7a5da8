// Limited memory: swap slots and their read-ahead by themselves, and random programs under small limits with every invariant checked.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "mm/backing/open_file.h"
#include "mm/backing/swap_area.h"
#include "mm/backing/swap_read_ahead.h"
#include "mm/backing/swap_writes.h"
#include "mm/machine/machine.h"

namespace faultline::mm {
namespace {

TEST(SwapArea, NeighboursGetNeighboursAndFreedSlotsComeBack) {
  SwapArea area(2048);
  for (std::uint64_t i = 1; i <= 600; ++i) EXPECT_EQ(area.allocate(Pfn(i), 0)->value, i);
  area.check_invariants();
  for (std::uint64_t i = 100; i < 108; ++i) area.leave_cache(SwapSlot(i));
  EXPECT_EQ(area.used(), 592u);
  area.check_invariants();
  // The current cluster goes on to its end; then the one with room is next, before an empty one.
  for (std::uint64_t i = 601; i < 1024; ++i) EXPECT_EQ(area.allocate(Pfn(i), 0)->value, i);
  EXPECT_EQ(area.allocate(Pfn(1024), 0)->value, 100u);
  area.check_invariants();
}

TEST(SwapArea, IsFullWhenEverySlotIsTaken) {
  SwapArea area(70);
  for (int i = 0; i < 69; ++i) ASSERT_TRUE(area.allocate(Pfn(1), 0));
  EXPECT_FALSE(area.allocate(Pfn(1), 0));
  area.leave_cache(SwapSlot(5));
  EXPECT_EQ(area.allocate(Pfn(1), 0)->value, 5u);
  area.check_invariants();
}

// __swapin_nr_pages() of Linux: hits grow the window by powers of two, it shrinks by halves, a neighbour is worth two pages.
TEST(SwapReadAhead, WindowFollowsHits) {
  EXPECT_EQ(swap_window_pages(0, 100, 0, 8, 0), 1u);
  EXPECT_EQ(swap_window_pages(99, 100, 0, 8, 0), 2u);
  EXPECT_EQ(swap_window_pages(101, 100, 0, 8, 0), 2u);
  EXPECT_EQ(swap_window_pages(0, 100, 1, 8, 0), 4u);
  EXPECT_EQ(swap_window_pages(0, 100, 3, 8, 0), 8u);
  EXPECT_EQ(swap_window_pages(0, 100, 40, 8, 0), 8u);
  EXPECT_EQ(swap_window_pages(0, 100, 0, 8, 8), 4u);
}

// What was swapped before is remembered: without hits nothing is read ahead until two slots side by side are wanted in turn.
TEST(SwapReadAhead, BySlotGoesOnAsItWentBefore) {
  ClusterReadAhead booted, disappointed(0);
  EXPECT_EQ(booted.window(100, 8, 4096).pages(), 8u);
  EXPECT_EQ(booted.window(1000, 8, 4096).pages(), 4u);
  EXPECT_EQ(disappointed.window(100, 8, 4096).pages(), 1u);
  EXPECT_EQ(disappointed.window(1000, 8, 4096).pages(), 1u);
  EXPECT_EQ(disappointed.window(1001, 8, 4096).pages(), 2u);
  disappointed.hit();
  EXPECT_EQ(disappointed.window(2000, 8, 4096).pages(), 4u);
}

TEST(SwapReadAhead, ByAddressGoesForwardBackwardOrAround) {
  VmaReadAhead state;  // as if four had hit
  EXPECT_EQ(state.window(1000, 8, 0, 4096).first, 997u);
  state.found(1001, true);
  state.found(1002, true);
  const ReadWindow forward = state.window(1003, 8, 0, 4096);
  EXPECT_EQ(forward.first, 1003u);
  EXPECT_EQ(forward.end, 1007u);
  VmaReadAhead edge;
  EXPECT_EQ(edge.window(512, 8, 0, 4096).first, 512u);  // not into another table
  VmaReadAhead last;
  EXPECT_EQ(last.window(99, 8, 90, 100).end, 100u);  // not out of the mapping
}

struct Plugged {
  DeviceModel model{.write_latency_ns = 1000, .page_ns = 10, .request_pages = 100};
  BlockDevice device{model};
  VirtualClock clock;
  SwapWrites writes{device, clock};
  std::uint64_t sent() {
    std::uint64_t count = 0;
    for (; writes.next_done_ns(); ++count) (void)writes.take_next();
    return count;
  }
};

TEST(SwapWrites, WithoutAPlugEachPageGoesAtOnce) {
  Plugged plugged;
  plugged.writes.add(SwapSlot(1), {Pfn(1), 0});
  EXPECT_EQ(plugged.writes.next_done_ns(), 1010u);
  EXPECT_EQ(plugged.sent(), 1u);
}

TEST(SwapWrites, NeighboursAreOneRequestAndAreDoneTogether) {
  Plugged plugged;
  plugged.writes.plug();
  plugged.writes.plug();
  for (std::uint64_t i = 0; i < 20; ++i) plugged.writes.add(SwapSlot(10 + i), {Pfn(i), 0});
  plugged.writes.unplug();
  EXPECT_FALSE(plugged.writes.next_done_ns());  // the outer one counts
  plugged.writes.unplug();
  EXPECT_EQ(plugged.writes.next_done_ns(), 1200u);
  EXPECT_EQ(plugged.sent(), 20u);
  EXPECT_EQ(plugged.device.written_pages(), 20u);
}

// blk_add_rq_to_plug(): a first request of 128 KiB goes when the next begins; behind a small one, a read for instance, 32 are kept back.
TEST(SwapWrites, APlugIsEmptiedByALargeFirstRequestOrByMany) {
  Plugged large;
  large.writes.plug();
  for (std::uint64_t i = 0; i < 101; ++i) large.writes.add(SwapSlot(1 + i), {Pfn(i), 0});
  EXPECT_EQ(large.sent(), 100u);
  Plugged many;
  many.writes.plug();
  many.writes.add_read(SwapSlot(5000));
  for (std::uint64_t i = 0; i < 3100; ++i) many.writes.add(SwapSlot(1 + i), {Pfn(i), 0});
  EXPECT_EQ(many.sent(), 0u);
  many.writes.add(SwapSlot(3101), {Pfn(3100), 0});
  EXPECT_EQ(many.sent(), 3100u);
  many.writes.unplug();
  EXPECT_EQ(many.sent(), 1u);
}

MachineConfig limited(std::uint64_t limit, std::uint64_t swap, bool rotating, const std::string& policy) {
  MachineConfig config;
  config.reclaim.emplace();
  config.reclaim->limit_pages = limit;
  config.reclaim->charge_batch = 8;
  config.reclaim->policy = policy;
  config.swap.pages = swap;
  config.swap.device.rotating = rotating;
  return config;
}

VirtAddr map(Process& process, std::uint64_t pages) {
  MmapArguments arguments;
  arguments.length = ByteCount(pages << kPageShift);
  return *process.run([&](AddressSpace& space) { return space.mmap(arguments); });
}

TEST(LimitedMemory, AWrittenPageComesBackAsAMajorFaultAndLeavesItsSlot) {
  const auto machine = Machine::create(limited(64, 4096, false, "linux"));
  Process& process = machine->start();
  const VirtAddr base = map(process, 200);
  for (std::uint64_t i = 0; i < 200; ++i) EXPECT_EQ(process.access(base + ByteCount(i << kPageShift), true), Access::minor_fault);
  machine->check_invariants();
  EXPECT_GT(process.space().statistics().swapped_pages(), 100u);
  EXPECT_LE(machine->reclaim()->limit().usage(), 64u);
  EXPECT_EQ(process.access(base, true), Access::major_fault);
  EXPECT_EQ(process.space().statistics().last_path, FaultPath::swap_in);
  EXPECT_EQ(process.access(base, true), Access::hit);
  machine->check_invariants();
  EXPECT_TRUE(process.run([&](AddressSpace& space) { return space.munmap(base, ByteCount(200 << kPageShift)); }));
  EXPECT_EQ(machine->swap()->area().used(), 0u);
  machine->check_invariants();
}

TEST(LimitedMemory, APageReadBackIsNotWrittenAgain) {
  const auto machine = Machine::create(limited(64, 4096, true, "linux"));
  Process& process = machine->start();
  const VirtAddr base = map(process, 200);
  for (std::uint64_t i = 0; i < 200; ++i) (void)process.access(base + ByteCount(i << kPageShift), true);
  for (int pass = 0; pass < 5; ++pass) {
    for (std::uint64_t i = 0; i < 200; ++i) (void)process.access(base + ByteCount(i << kPageShift), false);
  }
  EXPECT_EQ(machine->reclaim()->statistics().swapped_out, 200u);
  machine->check_invariants();
}

TEST(LimitedMemory, WithoutSwapAnonymousMemoryBeyondTheLimitIsOutOfMemory) {
  const auto machine = Machine::create(limited(64, 0, false, "linux"));
  Process& process = machine->start();
  const VirtAddr base = map(process, 200);
  Access met = Access::hit;
  for (std::uint64_t i = 0; i < 200 && !refused(met); ++i) met = process.access(base + ByteCount(i << kPageShift), true);
  EXPECT_EQ(met, Access::out_of_memory);
  EXPECT_TRUE(machine->reclaim()->statistics().out_of_memory);
  machine->check_invariants();
}

// Room for pages that are read ahead is made behind the reader's plug: far more pages are written than the 32 that are wanted, and they
// are free for the next ones.
TEST(LimitedMemory, BehindAReadersPlugThousandsOfPagesAreWrittenAtOnce) {
  const auto machine = Machine::create(limited(16'384, 65'536, true, "linux"));
  Process& process = machine->start();
  const VirtAddr base = map(process, 20'000);
  const auto& counted = machine->reclaim()->statistics();
  std::uint64_t most = 0;
  for (int pass = 0; pass < 3; ++pass) {
    for (std::uint64_t i = 0; i < 20'000; ++i) {
      const std::uint64_t before = counted.swapped_out;
      (void)process.access(base + ByteCount(i << kPageShift), true);
      if (pass > 0) most = std::max(most, counted.swapped_out - before);
    }
  }
  EXPECT_GT(most, 2000u);
  machine->check_invariants();
}

TEST(LimitedMemory, AFullSwapAreaIsOutOfMemoryToo) {
  const auto machine = Machine::create(limited(64, 101, false, "linux"));
  Process& process = machine->start();
  const VirtAddr base = map(process, 400);
  std::uint64_t held = 0;
  while (held < 400 && !refused(process.access(base + ByteCount(held << kPageShift), true))) ++held;
  EXPECT_EQ(machine->swap()->area().used(), 100u);
  EXPECT_GT(held, 100u);  // what the limit holds may be in swap, too: without a free slot anonymous pages are not looked at (can_reclaim_anon_pages())
  EXPECT_LE(held, 164u);
  EXPECT_TRUE(machine->reclaim()->statistics().out_of_memory);
  machine->check_invariants();
}

TEST(LimitedMemory, LockedPagesStayAndCannotBeMadeRoomOf) {
  const auto machine = Machine::create(limited(96, 4096, false, "linux"));
  Process& process = machine->start();
  const VirtAddr locked = map(process, 40), other = map(process, 300);
  ASSERT_TRUE(process.run([&](AddressSpace& space) { return space.mlock(locked, ByteCount(40 << kPageShift)); }));
  for (int pass = 0; pass < 3; ++pass) {
    for (std::uint64_t i = 0; i < 300; ++i) EXPECT_FALSE(refused(process.access(other + ByteCount(i << kPageShift), true)));
  }
  for (std::uint64_t i = 0; i < 40; ++i) EXPECT_EQ(process.access(locked + ByteCount(i << kPageShift), true), Access::hit);
  machine->check_invariants();
  const VirtAddr more = map(process, 80);
  (void)process.run([&](AddressSpace& space) { return space.mlock(more, ByteCount(80 << kPageShift)); });
  EXPECT_TRUE(machine->reclaim()->statistics().out_of_memory);  // 120 locked pages under 96
  machine->check_invariants();
}

// Random programs: several processes, calls of all kinds, a file, tiny limits; after every tenth step all counters are recomputed.
void random_program(std::uint64_t seed, const std::string& policy) {
  SCOPED_TRACE("seed " + std::to_string(seed) + " policy " + policy);
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t n) { return random() % n; };
  const auto machine = Machine::create(limited(96 + below(64), below(8) == 0 ? 100 : 8192, below(2) == 0, policy));
  FileObject& file = machine->create_file({.size = 300 << kPageShift});
  OpenFile* const opened = OpenFile::open(file, true, ReadAheadLimits{});
  std::vector<Pid> pids{machine->start().pid()};
  std::map<Pid, std::vector<std::pair<std::uint64_t, std::uint64_t>>> regions;  // start, pages
  for (int step = 0; step < 1500 && !pids.empty(); ++step) {
    const std::size_t which = below(pids.size());
    const Pid pid = pids[which];
    Process& process = machine->process(pid);
    auto& own = regions[pid];
    const std::uint64_t kind = below(40);
    if (kind < 3 && own.size() < 6) {
      MmapArguments arguments;
      const std::uint64_t pages = 1 + below(80);
      arguments.length = ByteCount(pages << kPageShift);
      if (below(3) == 0) {
        arguments.flags = below(2) == 0 ? kMapShared : kMapPrivate;
        arguments.backing = opened;
        arguments.file_offset = below(200) << kPageShift;
      }
      if (const auto made = process.run([&](AddressSpace& space) { return space.mmap(arguments); })) own.emplace_back(made->value, pages);
    } else if (kind == 3 && pids.size() < 4) {
      if (const auto child = machine->fork(pid)) {
        pids.push_back(*child);
        regions[*child] = own;
      }
    } else if (kind == 4 && pids.size() > 1) {
      machine->exit(pid);
      pids.erase(pids.begin() + static_cast<std::ptrdiff_t>(which));
      regions.erase(pid);
    } else if (kind == 5) {
      (void)opened->read(below(290), 1 + below(10));
    } else if (kind == 6) {
      (void)opened->write(below(290), 1 + below(10));
    } else if (kind == 7) {
      machine->advance(below(2'000'000));
    } else if (!own.empty()) {
      auto& [start, pages] = own[below(own.size())];
      const std::uint64_t first = below(pages);
      const VirtAddr at(start + (first << kPageShift));
      const ByteCount length((1 + below(pages - first)) << kPageShift);
      if (kind == 8) (void)process.run([&](AddressSpace& space) { return space.munmap(at, length); });
      if (kind == 9) (void)process.run([&](AddressSpace& space) { return space.madvise(at, length, Madvice::dont_need); });
      if (kind == 10) (void)process.run([&](AddressSpace& space) { return space.madvise(at, length, Madvice::free); });
      if (kind == 11) (void)process.run([&](AddressSpace& space) { return space.mprotect(at, length, below(2) == 0 ? kProtRead : kProtReadWrite); });
      if (kind == 12) (void)process.run([&](AddressSpace& space) { return space.mlock(at, length); });
      if (kind == 13) (void)process.run([&](AddressSpace& space) { return space.munlock(at, length); });
      if (kind == 14) (void)process.run([&](AddressSpace& space) { return space.mincore(at, length); });
      if (kind == 15) {
        const auto moved = process.run([from = start, count = pages](AddressSpace& space) {
          return space.mremap({.address = VirtAddr(from), .old_length = ByteCount(count << kPageShift), .new_length = ByteCount((count + 3) << kPageShift), .flags = kRemapMayMove, .new_address = {}});
        });
        if (moved) {
          start = moved->value;
          pages += 3;
        }
      }
      for (std::uint64_t i = 0; kind > 15 && i < 10; ++i) {
        const VirtAddr one(start + (((first + i) % pages) << kPageShift));
        const Access met = process.access(one, below(2) == 0);
        if (met == Access::out_of_memory) break;
        const Pte* const pte = process.space().page_table().entry(one.vpn());
        if (pte != nullptr && pte->maps_frame() && machine->reclaim()->descriptor().sees >= Sees::every_access) {
          machine->reclaim()->on_access(pte->pfn(), {.time = static_cast<std::uint64_t>(step)});
        }
      }
    }
    if (step % 10 == 0) machine->check_invariants();
  }
  machine->check_invariants();
  opened->release();
}

TEST(LimitedMemory, RandomPrograms) {
  const char* const text = std::getenv("FAULTLINE_SWAP_SEED");
  const std::uint64_t first = text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + 60; ++seed) random_program(seed, "linux");
}

TEST(LimitedMemory, RandomProgramsUnderEveryPolicy) {
  for (const PolicyDescriptor& policy : policies()) {
    if (policy.sees == Sees::future || policy.variable_size) continue;
    for (std::uint64_t seed = 1000; seed < 1004; ++seed) random_program(seed, policy.name);
  }
}

}  // namespace
}  // namespace faultline::mm
