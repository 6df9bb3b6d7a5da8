// The same calls on this kernel. They run in a child that does nothing else: it is forked once, warmed up, and then
// takes calls through shared memory, so that its own page faults never mix with the ones that are counted.
#pragma once

#include <sys/types.h>

#include <memory>

#include "process.h"

namespace faultline::spec {

struct Mailbox;
class Mailboxes;  // shared with the children

class KernelProcess : public Process {
 public:
  KernelProcess();
  ~KernelProcess() override;
  KernelProcess(const KernelProcess&) = delete;
  KernelProcess& operator=(const KernelProcess&) = delete;

  std::unique_ptr<Process> fork() override;
  Answer run(const Call& call) override;
  void allow_huge_pages(bool allow) override { run({Op::huge, allow ? 1u : 0u}); }
  bool wait_for_khugepaged() override;
  std::uint64_t huge_bytes() override;
  void open(std::uint32_t slot, const TestFile& file, bool writable = true) override;
  std::vector<Mapping> mappings() override;
  std::vector<Mapping> heap() override;
  std::vector<Mapping> everything();  // the whole address space
  std::vector<std::uint8_t> pages(std::uint64_t address, std::uint64_t bytes) override;

 private:
  KernelProcess(std::shared_ptr<Mailboxes> boxes, std::size_t slot, pid_t pid);
  void open_proc();
  std::vector<Mapping> between(std::uint64_t start, std::uint64_t end, std::uint64_t origin);

  std::shared_ptr<Mailboxes> boxes_;
  std::size_t slot_ = 0;
  Mailbox* box_ = nullptr;
  pid_t pid_ = -1;
  int pidfd_ = -1;
  int maps_ = -1;     // /proc/PID/maps, read by the parent
  int pagemap_ = -1;  // /proc/PID/pagemap
};

}  // namespace faultline::spec
