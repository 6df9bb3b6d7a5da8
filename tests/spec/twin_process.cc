#include "twin_process.h"

#include "mm/backing/open_file.h"
#include "test_file.h"

#include <algorithm>
#include <array>

namespace faultline::spec {

namespace {
// As a real process has it: mappings the twin places by itself end up far above the window.
const mm::AddressSpace::Layout kLayout{VirtAddr(0x5555'0000'0000), VirtAddr(0x7fff'f7ff'f000), VirtAddr(kPage)};
}  // namespace

struct TwinProcess::OpenFiles {
  std::array<mm::OpenFile*, 4> slots{};
  OpenFiles() = default;
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  ~OpenFiles() { close(); }
  void close() {
    for (mm::OpenFile*& slot : slots) {
      if (slot != nullptr) slot->release();
      slot = nullptr;
    }
  }
};

TwinProcess::TwinProcess()
    : machine_(mm::Machine::create()), files_(std::make_shared<OpenFiles>()), pid_(machine_->start(kLayout).pid()) {
  allow_huge_pages(false);
  in_use_.measure(space());
}

TwinProcess::TwinProcess(const std::vector<Mapping>& present, std::uint64_t mmap_base)
    : machine_(mm::Machine::create()), files_(std::make_shared<OpenFiles>()) {
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

TwinProcess::TwinProcess(const TwinProcess& parent, mm::Pid pid) : machine_(parent.machine_), files_(parent.files_), pid_(pid) {}

void TwinProcess::open(std::uint32_t slot, const TestFile& file, bool writable) {
  mm::FileObject& object = machine_->create_file(file.settings());
  for (const mm::Folio& folio : file.cached()) object.add(folio.first, folio.order, folio.marker, folio.dirty);
  if (files_->slots.at(slot) != nullptr) files_->slots[slot]->release();
  files_->slots[slot] = mm::OpenFile::open(object, writable, file.read_ahead());
}

void TwinProcess::allow_huge_pages(bool allow) {
  process().run([&](mm::AddressSpace& space) { space.set_thp_disabled(!allow); });
}

bool TwinProcess::wait_for_khugepaged() {
  const std::uint64_t wanted = machine_->khugepaged().full_scans() + 1;
  for (int second = 0; second < 1000 && machine_->khugepaged().full_scans() < wanted; ++second) machine_->advance(1'000'000'000);
  return machine_->khugepaged().full_scans() >= wanted;
}

std::uint64_t TwinProcess::huge_bytes() { return space().huge_bytes(VirtAddr(kWindow), VirtAddr(kWindow + kWindowBytes)).value; }

TwinProcess::~TwinProcess() { machine_->exit(pid_); }

std::unique_ptr<Process> TwinProcess::fork() {
  const auto child = machine_->fork(pid_);
  return child ? std::unique_ptr<Process>(new TwinProcess(*this, *child)) : nullptr;
}

Answer TwinProcess::run(const Call& call) {
  const mm::FaultCounters before = process().faults();
  Answer answer = process().run([&](mm::AddressSpace& space) { 
    const bool on_file = call.op == Op::map_file || call.op == Op::truncate || call.op == Op::fsync;
    return on_file ? run_on_file(space, call) : perform(space, call, in_use_, false);
  });
  answer.minor_faults = process().faults().minor - before.minor;
  answer.major_faults = process().faults().major - before.major;
  return answer;
}

// What is done to a file behind a slot.
Answer TwinProcess::run_on_file(mm::AddressSpace& space, const Call& call) {
  const auto refusal = [](mm::Errno error) { return Answer{.value = -1, .error = static_cast<std::int32_t>(error)}; };
  mm::OpenFile* file = files_->slots.at(call.op == Op::map_file ? call.e >> 32 : call.a);
  if (file == nullptr) return refusal(mm::Errno::badf);
  if (call.op == Op::fsync) {
    machine_->sync(file->object());
    return {};
  }
  if (call.op == Op::truncate) {
    if (!file->writable()) return refusal(mm::Errno::inval);
    machine_->truncate(file->object(), call.b);
    return {};
  }
  const auto placed = space.mmap({.address = VirtAddr(call.a),
                                  .length = ByteCount(call.b),
                                  .prot = static_cast<mm::Prot>(call.c),
                                  .flags = static_cast<mm::MapFlags>(call.d),
                                  .backing = file,
                                  .file_offset = (call.e & 0xffff'ffff) * kPage});
  if (!placed) return refusal(placed.error());
  if (placed->value >= kWindow && placed->value < kWindow + kWindowBytes) return {.value = static_cast<std::int64_t>(placed->value)};
  (void)space.munmap(*placed, ByteCount(call.b));
  return {.value = kElsewhere};
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
      found.push_back(pte->huge() ? 3 : 1);  // pagemap takes the huge zero page for a file's
    } else {
      // Of a huge page pagemap looks at the first page only (pagemap_pmd_range()).
      if (pte->huge()) pte = space().page_table().entry(VirtAddr(std::max(address, at / (512 * kPage) * (512 * kPage))).vpn());
      const mm::Frame& frame = machine_->frames().at(pte->pfn());
      const bool file = frame.use != mm::FrameUse::anonymous;
      found.push_back(static_cast<std::uint8_t>((file ? 3 : 1) + (frame.users == 1 ? 1 : 0)));
    }
  }
  return found;
}

}  // namespace faultline::spec
