// What Linux promises about brk(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Brk : public MemorySpec {};

TEST_P(Brk, TheBreakMovesUpAndDown) {
  EXPECT_EQ(process->brk(0x21000).value, 0x21000);
  EXPECT_EQ(process->heap(), (std::vector<Mapping>{{0, 0x21000, 3}}));
  EXPECT_EQ(process->brk(0x21000 + 10).value, 0x21000 + 10) << "the break itself is a byte address";
  EXPECT_EQ(process->heap(), (std::vector<Mapping>{{0, 0x22000, 3}}));
  EXPECT_EQ(process->brk(0x1000).value, 0x1000);
  EXPECT_EQ(process->heap(), (std::vector<Mapping>{{0, 0x1000, 3}}));
  EXPECT_EQ(process->brk(-8192).value, 0x1000) << "not below its start";
  EXPECT_EQ(process->brk(0).value, 0);
  EXPECT_TRUE(process->heap().empty());
}

TEST_P(Brk, LockedHeapsGrowPopulated) {
  process->brk(0);
  process->mlockall(2);
  EXPECT_EQ(process->brk(8 * kPage).minor_faults, 8u);
  process->munlockall();
  EXPECT_EQ(process->brk(0).value, 0);
}

TEST_P(Brk, DataLimitHolds) {
  process->brk(0);
  process->limit(2, 4 * kPage);
  EXPECT_EQ(process->brk(64 * kPage).value, 0);
  process->no_limit(2);
  EXPECT_EQ(process->brk(64 * kPage).value, static_cast<std::int64_t>(64 * kPage));
  EXPECT_EQ(process->brk(0).value, 0);
}

FL_INSTANTIATE_SPEC(Brk);

}  // namespace
}  // namespace faultline::spec
