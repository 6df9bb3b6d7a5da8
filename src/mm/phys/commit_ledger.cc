#include "mm/phys/commit_ledger.h"

#include <algorithm>

#include "base/assert.h"
#include "base/units.h"

namespace faultline::mm {

namespace {
constexpr std::uint64_t pages_of(std::uint64_t kbytes) { return kbytes >> (kPageShift - 10); }
}  // namespace

std::uint64_t CommitLedger::limit() const {
  const std::uint64_t backed = policy_.kbytes != 0 ? pages_of(policy_.kbytes)
                                                   : (policy_.ram_pages - policy_.huge_pages) * policy_.ratio / 100;
  return backed + policy_.swap_pages;
}

bool CommitLedger::charge(std::uint64_t pages, std::uint64_t process_pages, bool sys_admin) {
  const std::uint64_t after = committed_ + pages;
  switch (policy_.mode) {
    case Overcommit::always: break;
    case Overcommit::guess:
      if (pages > policy_.ram_pages + policy_.swap_pages) return false;  // only what could never fit
      break;
    case Overcommit::never: {
      std::uint64_t kept = std::min(process_pages / 32, pages_of(policy_.user_reserve_kbytes));
      if (!sys_admin) kept += pages_of(policy_.admin_reserve_kbytes);
      const std::uint64_t most = limit();
      if (kept >= most || after >= most - kept) return false;
      break;
    }
  }
  committed_ = after;
  return true;
}

void CommitLedger::uncharge(std::uint64_t pages) {
  FL_ASSERT(pages <= committed_);
  committed_ -= pages;
}

}  // namespace faultline::mm
