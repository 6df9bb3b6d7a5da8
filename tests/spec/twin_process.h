// The same calls on the twin.
#pragma once

#include <memory>

#include "mm/machine/machine.h"
#include "process.h"
#include "twin_calls.h"

namespace faultline::spec {

class TwinProcess : public Process {
 public:
  TwinProcess();  // on a machine of its own
  // A process with these mappings already (opaque, not to be touched), placing new ones below mmap_base.
  TwinProcess(const std::vector<Mapping>& present, std::uint64_t mmap_base);
  ~TwinProcess() override;
  TwinProcess(const TwinProcess&) = delete;
  TwinProcess& operator=(const TwinProcess&) = delete;

  std::unique_ptr<Process> fork() override;
  Answer run(const Call& call) override;
  void allow_huge_pages(bool allow) override;
  bool wait_for_khugepaged() override;
  std::uint64_t huge_bytes() override;
  void open(std::uint32_t slot, const TestFile& file, bool writable = true) override;
  std::vector<Mapping> mappings() override;
  std::vector<Mapping> heap() override;
  std::vector<std::uint8_t> pages(std::uint64_t address, std::uint64_t bytes) override;
  mm::Machine& machine() { return *machine_; }
  mm::Process& process() { return machine_->process(pid_); }
  const mm::AddressSpace& space() { return process().space(); }

 private:
  TwinProcess(const TwinProcess& parent, mm::Pid pid);
  Answer run_on_file(mm::AddressSpace& space, const Call& call);
  std::vector<Mapping> between(std::uint64_t start, std::uint64_t end, std::uint64_t origin);

  struct OpenFiles;  // by slot, shared with the children
  std::shared_ptr<mm::Machine> machine_;
  std::shared_ptr<OpenFiles> files_;
  mm::Pid pid_ = 0;
  InUse in_use_;
};

}  // namespace faultline::spec
