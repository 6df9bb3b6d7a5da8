// The same calls on this kernel. They run in a child that does nothing else: it is forked once, warmed up, and then
// takes calls through shared memory, so that its own page faults never mix with the ones that are counted.
#pragma once

#include <sys/types.h>

#include "process.h"

namespace faultline::spec {

struct Mailbox;  // shared with the child

class KernelProcess : public Process {
 public:
  KernelProcess();
  ~KernelProcess() override;
  KernelProcess(const KernelProcess&) = delete;
  KernelProcess& operator=(const KernelProcess&) = delete;

  Answer run(const Call& call) override;
  std::vector<Mapping> mappings() override;
  std::vector<Mapping> heap() override;
  std::vector<Mapping> everything();  // the whole address space
  std::vector<std::uint8_t> pages(std::uint64_t address, std::uint64_t bytes) override;

 private:
  void ask(std::uint32_t request);
  std::vector<Mapping> between(std::uint64_t start, std::uint64_t end, std::uint64_t origin);

  Mailbox* box_ = nullptr;
  pid_t child_ = -1;
  int maps_ = -1;     // /proc/CHILD/maps, read by the parent
  int pagemap_ = -1;  // /proc/CHILD/pagemap
};

}  // namespace faultline::spec
