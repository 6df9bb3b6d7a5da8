// Machine: processes that share an address space, exec, exit, machines side by side; what kernel specs cannot reach.
#include <gtest/gtest.h>

#include "mm/machine/machine.h"
#include "mm/machine/proc_text.h"
#include "mm/space/anon_vma.h"

namespace faultline::mm {
namespace {

constexpr std::uint64_t kBase = 0x7f12'3456'7000;

MmapArguments at(std::uint64_t address, std::uint64_t pages, MapFlags extra = 0) {
  return {.address = VirtAddr(address), .length = PageCount(pages).bytes(), .flags = kMapPrivate | kMapAnonymous | kMapFixed | extra};
}
void map(Process& process, std::uint64_t address, std::uint64_t pages, MapFlags extra = 0) {
  ASSERT_TRUE(process.run([&](AddressSpace& space) { return space.mmap(at(address, pages, extra)); }));
}

TEST(Machine, FaultsCountForTheProcessThatTakesThem) {
  const auto machine = Machine::create();
  Process& first = machine->start();
  map(first, kBase, 8);
  first.access(VirtAddr(kBase), true);
  const Pid thread_like = machine->clone_vm(first.pid());
  Process& second = machine->process(thread_like);
  EXPECT_EQ(second.access(VirtAddr(kBase), true), Access::hit);
  EXPECT_EQ(second.access(VirtAddr(kBase + kPageSize), true), Access::minor_fault);
  map(second, kBase + 8 * kPageSize, 4, kMapPopulate);
  EXPECT_EQ(first.faults(), (FaultCounters{.minor = 1}));
  EXPECT_EQ(second.faults(), (FaultCounters{.minor = 5}));
  EXPECT_EQ(first.space().statistics().minor_faults(), 6u);
  machine->check_invariants();
  machine->exit(first.pid());
  EXPECT_EQ(machine->process(thread_like).space().statistics().resident_pages, 6u) << "memory stays with its last user";
  EXPECT_EQ(machine->exit(thread_like).minor, 5u);
  EXPECT_EQ(machine->frames().in_use(), 0u);
}

TEST(Machine, AVforkedChildRunsInItsParentsMemoryUntilItExecs) {
  const auto machine = Machine::create();
  const Pid parent = machine->start().pid();
  map(machine->process(parent), kBase, 2);
  const Pid child = machine->vfork(parent);
  EXPECT_TRUE(machine->process(parent).waits_for_vfork());
  machine->process(child).access(VirtAddr(kBase), true);
  EXPECT_TRUE(machine->process(parent).space().resident(VirtAddr(kBase)));
  machine->check_invariants();
  AddressSpace& fresh = machine->exec(child);
  EXPECT_FALSE(machine->process(parent).waits_for_vfork());
  EXPECT_TRUE(fresh.vmas().empty());
  const Pid other = machine->vfork(parent);
  machine->exit(other);
  EXPECT_FALSE(machine->process(parent).waits_for_vfork());
  machine->check_invariants();
}

TEST(Machine, ForkNeedsFramesForTheTables) {
  const auto machine = Machine::create({.frames = 9});  // root, three tables, one page: the child finds four
  const Pid parent = machine->start().pid();
  map(machine->process(parent), kBase, 2);
  machine->process(parent).access(VirtAddr(kBase), true);
  ASSERT_TRUE(machine->fork(parent));
  machine->check_invariants();
  const auto full = Machine::create({.frames = 8});
  const Pid other = full->start().pid();
  map(full->process(other), kBase, 2);
  full->process(other).access(VirtAddr(kBase), true);
  EXPECT_EQ(full->fork(other).error(), Errno::nomem);
  EXPECT_EQ(full->frames().in_use(), 5u) << "nothing of the child is left";
  EXPECT_EQ(full->process(other).access(VirtAddr(kBase), true), Access::hit) << "it failed before the page was shared";
  full->check_invariants();
  while (full->frames().allocate(FrameUse::file)) continue;
  EXPECT_EQ(full->fork(other).error(), Errno::nomem) << "not even a root table";
}

TEST(Machine, ALineOfForksReusesAncestorsNobodyUses) {
  const auto machine = Machine::create();
  Pid last = machine->start().pid();
  map(machine->process(last), kBase, 1);
  machine->process(last).access(VirtAddr(kBase), true);
  for (int generation = 0; generation < 200; ++generation) {
    const Pid child = *machine->fork(last);
    machine->exit(last);
    last = child;
    machine->process(last).access(VirtAddr(kBase), true);
  }
  EXPECT_LE(machine->process(last).space().vmas().find(0)->anon_vma->all.size(), 4u);
  machine->check_invariants();
}

TEST(Machine, SmapsShowsHugePages) {
  MachineConfig config;
  config.profile.thp = ThpMode::always;
  const auto machine = Machine::create(config);
  Process& process = machine->start();
  constexpr std::uint64_t place = 0x7f00'0000'0000;
  map(process, place, 1024);
  process.access(VirtAddr(place + 5), true);
  EXPECT_EQ(process.space().statistics().resident_pages, 512u);
  EXPECT_EQ(process.faults().minor, 1u);
  const std::string text = smaps_text(process.space(), {});
  EXPECT_NE(text.find("AnonHugePages:      2048 kB"), std::string::npos) << text;
  EXPECT_NE(text.find("THPeligible:           1"), std::string::npos) << text;
  machine->check_invariants();
}

TEST(Machine, WithoutFramesForAHugePageItIsASmallOne) {
  MachineConfig config{.frames = 100};
  config.profile.thp = ThpMode::always;
  const auto machine = Machine::create(config);
  Process& process = machine->start();
  map(process, 0x7f00'0000'0000, 1024);
  EXPECT_EQ(process.access(VirtAddr(0x7f00'0000'0000), true), Access::minor_fault);
  EXPECT_EQ(process.space().statistics().resident_pages, 1u);
  machine->check_invariants();
}

TEST(Machine, AFrameKnowsWhoMapsIt) {
  const auto machine = Machine::create();
  const Pid parent = machine->start().pid();
  map(machine->process(parent), kBase, 1);
  machine->process(parent).access(VirtAddr(kBase), true);
  std::vector<Pid> children;
  for (int i = 0; i < 3; ++i) children.push_back(*machine->fork(parent));
  const Pfn pfn = machine->process(parent).space().page_table().entry(VirtAddr(kBase).vpn())->pfn();
  std::size_t users = 0;
  machine->frames().for_each_user(pfn, [&](const FrameUser& user) {
    ++users;
    EXPECT_EQ(user.space->page_table().entry(user.vpn)->pfn(), pfn);
  });
  EXPECT_EQ(users, 4u);
  machine->exit(children[1]);
  EXPECT_EQ(machine->frames().at(pfn).users, 3u);
  machine->check_invariants();
}

}  // namespace
}  // namespace faultline::mm
