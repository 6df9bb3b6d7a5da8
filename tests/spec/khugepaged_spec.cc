// What khugepaged makes huge pages of, on the real kernel and on the twin alike. The kernel's is waited for, 10 to 30 s.
#include <algorithm>
#include <string>
#include <vector>

#include "spec_test.h"
#include "thp_settings.h"

namespace faultline::spec {
namespace {

constexpr std::uint64_t kHuge = 512 * kPage;
constexpr int kDontNeed = 4, kHugePage = 14, kCold = 20, kGuardInstall = 102;

// By their names in sysfs; the tests hold for the defaults only.
bool defaults_hold() {
  const std::pair<const char*, const char*> wanted[] = {{"enabled", "[madvise]"},         {"khugepaged/max_ptes_none", "511"},
                                                        {"khugepaged/max_ptes_shared", "256"}, {"khugepaged/pages_to_scan", "4096"},
                                                        {"khugepaged/scan_sleep_millisecs", "10000"}};
  return std::all_of(std::begin(wanted), std::end(wanted), [](const auto& setting) { return thp_setting_has(setting.first, setting.second); });
}

class Khugepaged : public SpecTest {
 protected:
  void SetUp() override {
    if (!defaults_hold()) GTEST_SKIP() << "SKIPPED: khugepaged's settings are not the defaults";
    SpecTest::SetUp();
    process->allow_huge_pages(true);
  }
  static constexpr std::uint64_t region(std::uint64_t n) { return kWindow + n * kHuge; }
  // Which regions are huge pages: found out by unmapping one after the other.
  std::string huge_regions(std::uint64_t count) {
    std::string found;
    for (std::uint64_t n = 0; n < count; ++n) {
      const std::uint64_t before = process->huge_bytes();
      process->munmap(region(n), kHuge);
      found += before - process->huge_bytes() == kHuge ? 'H' : '.';
    }
    return found;
  }
};

TEST_P(Khugepaged, RegionsWithEnoughInThem) {
  constexpr std::uint64_t kRegions = 15;
  process->mmap(region(0), kRegions * kHuge);
  process->write(region(0) + 5 * kPage, kPage);  // 0: one page is enough; 1: nothing
  process->read(region(2), kHuge);               // 2: nothing but the zero page
  process->read(region(3), kPage);               // 3: that and a page
  process->write(region(3) + kPage, kPage);
  process->write(region(4), kHuge);              // 4: all of them
  process->write(region(5), 400 * kPage);        // 5: shared with a child, too much of it
  process->write(region(6), 256 * kPage);        // 6: just not too much; 7 (below): read-only
  process->write(region(8), 16 * kPage);         // 8: not used lately, some of it shared
  process->write(region(9), kPage);              // 9: nothing any more, the table stays
  process->write(region(10), kPage);             // 10: a guard
  process->write(region(11), kPage);             // 11: not wished
  process->write(region(12), kPage);             // 12: cut by another mapping
  process->write(region(13), kPage);             // 13: locked; 14 (below): not used lately, nobody else's
  process->madvise(region(9), kPage, kDontNeed);
  process->madvise(region(10) + 9 * kPage, kPage, kGuardInstall);
  process->mprotect(region(12) + 100 * kPage, kPage, 1);
  process->run({Op::mlock, region(13), kHuge, 1});
  auto child = process->fork();
  for (const std::uint64_t n : {0, 3, 4, 10, 13}) process->write(region(n), n == 4 ? kHuge : 2 * kPage);  // its own again
  process->write(region(7), kHuge);
  process->mprotect(region(7), kHuge, 1);
  process->write(region(8), 8 * kPage);                   // half of it is the child's, too: MADV_COLD leaves that alone
  process->madvise(region(8), kHuge, kCold);
  // From here on khugepaged may look at it, so this comes last.
  process->madvise(region(0), 11 * kHuge, kHugePage);
  process->write(region(14), 8 * kPage);
  process->madvise(region(14), kHuge, kCold);
  process->madvise(region(12), 3 * kHuge, kHugePage);
  if (!process->wait_for_khugepaged()) GTEST_SKIP() << "SKIPPED: khugepaged did not get through in 90 s";
  EXPECT_EQ(huge_regions(kRegions), "H..HH.HHH....H.");
}

FL_INSTANTIATE_SPEC(Khugepaged);

}  // namespace
}  // namespace faultline::spec
