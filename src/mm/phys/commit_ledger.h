// CommitLedger: memory promised to processes against what the machine could back. One per machine.
// Counterpart: vm_committed_as, __vm_enough_memory() and vm_commit_limit() (mm/util.c);
// Documentation/mm/overcommit-accounting.rst.
#pragma once

#include <cstdint>

namespace faultline::mm {

enum class Overcommit : std::uint8_t { guess, always, never };  // sysctl vm.overcommit_memory 0, 1, 2

struct CommitPolicy {
  Overcommit mode = Overcommit::guess;
  std::uint64_t ram_pages = ~std::uint64_t{0} >> 16;  // totalram_pages(); by default more than anyone asks for
  std::uint64_t swap_pages = 0;                       // total_swap_pages
  std::uint64_t huge_pages = 0;                       // reserved for hugetlb, in base pages
  std::uint64_t ratio = 50;                           // vm.overcommit_ratio, percent
  std::uint64_t kbytes = 0;                           // vm.overcommit_kbytes; 0: the ratio holds
  std::uint64_t admin_reserve_kbytes = 8192;          // vm.admin_reserve_kbytes
  std::uint64_t user_reserve_kbytes = 131072;         // vm.user_reserve_kbytes
};

class CommitLedger {
 public:
  CommitLedger() = default;
  explicit CommitLedger(const CommitPolicy& policy) : policy_(policy) {}

  // CommitLimit of /proc/meminfo, pages. Only mode never holds to it.
  std::uint64_t limit() const;
  std::uint64_t committed() const { return committed_; }  // Committed_AS, pages
  const CommitPolicy& policy() const { return policy_; }
  void set_policy(const CommitPolicy& policy) { policy_ = policy; }

  // Promises `pages` more; false, and nothing promised, where the policy refuses. process_pages: what the process has
  // mapped already (mm->total_vm): a large process leaves others a reserve.
  bool charge(std::uint64_t pages, std::uint64_t process_pages, bool sys_admin);
  void charge_anyway(std::uint64_t pages) { committed_ += pages; }  // vm_acct_memory()
  void uncharge(std::uint64_t pages);

 private:
  CommitPolicy policy_;
  std::uint64_t committed_ = 0;
};

}  // namespace faultline::mm
