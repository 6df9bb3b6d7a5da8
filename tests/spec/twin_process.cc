#include "twin_process.h"

#include <algorithm>

namespace faultline::spec {

namespace {
// As a real process has it: mappings the twin places by itself end up far above the window.
const mm::AddressSpace::Layout kLayout{VirtAddr(0x5555'0000'0000), VirtAddr(0x7fff'f7ff'f000), VirtAddr(kPage)};
}  // namespace

TwinProcess::TwinProcess() : machine_(mm::Machine::create()), pid_(machine_->start(kLayout).pid()) {
  in_use_.measure(space());
}

TwinProcess::TwinProcess(const std::vector<Mapping>& present, std::uint64_t mmap_base) : machine_(mm::Machine::create()) {
  mm::AddressSpace::Layout layout = kLayout;
  layout.mmap_base = VirtAddr(mmap_base);
  pid_ = machine_->start(layout).pid();
  std::uint32_t file = 0;
  for (const Mapping& m : present) {
    (void)process().run([&](mm::AddressSpace& space) {
      return space.mmap({.address = VirtAddr(m.start),
                         .length = ByteCount(m.end - m.start),
                         .prot = m.prot,
                         .flags = mm::kMapPrivate | mm::kMapFixed,
                         .file = ++file});
    });
  }
}

TwinProcess::TwinProcess(std::shared_ptr<mm::Machine> machine, mm::Pid pid) : machine_(std::move(machine)), pid_(pid) {}

TwinProcess::~TwinProcess() { machine_->exit(pid_); }

std::unique_ptr<Process> TwinProcess::fork() {
  const auto child = machine_->fork(pid_);
  return child ? std::unique_ptr<Process>(new TwinProcess(machine_, *child)) : nullptr;
}

Answer TwinProcess::run(const Call& call) {
  const mm::FaultCounters before = process().faults();
  Answer answer = process().run([&](mm::AddressSpace& space) { return perform(space, call, in_use_, false); });
  answer.minor_faults = process().faults().minor - before.minor;
  answer.major_faults = process().faults().major - before.major;
  return answer;
}

std::vector<Mapping> TwinProcess::between(std::uint64_t start, std::uint64_t end, std::uint64_t origin) {
  std::vector<Mapping> found;
  space().vmas().for_each([&](const mm::Vma& vma) {
    if (vma.end <= start || vma.start >= end) return;
    found.push_back({vma.start - origin, vma.end - origin, vma.flags & mm::kVmAccess});
  });
  return found;
}

std::vector<Mapping> TwinProcess::mappings() { return between(kWindow, kWindow + kWindowBytes, 0); }

std::vector<Mapping> TwinProcess::heap() {
  const std::uint64_t start = space().start_brk().value;
  return between(start, start + kWindowBytes, start);
}

std::vector<std::uint8_t> TwinProcess::pages(std::uint64_t address, std::uint64_t bytes) {
  std::vector<std::uint8_t> found;
  for (std::uint64_t at = address; at < address + bytes; at += kPage) {
    const mm::Pte* pte = space().page_table().entry(VirtAddr(at).vpn());
    if (pte == nullptr || pte->none()) {
      found.push_back(0);
    } else if (pte->zero_page()) {
      found.push_back(1);
    } else {
      const mm::Frame& frame = machine_->frames().at(pte->pfn());
      const bool file = frame.use == mm::FrameUse::file;
      found.push_back(static_cast<std::uint8_t>((file ? 3 : 1) + (frame.users == 1 ? 1 : 0)));
    }
  }
  return found;
}

}  // namespace faultline::spec
