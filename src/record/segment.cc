#include "record/segment.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace faultline::record {

Result<std::unique_ptr<Segment>> Segment::create(pid_t pid, bool wrapped_calls) {
  std::unique_ptr<Segment> segment(new Segment);
  segment->pid_ = pid;
  segment->bytes_ = wire::payload_offset(kRings) + kRings * kRingBytes;  // sparse: a page exists once it is touched
  segment->memory_ = Fd(memfd_create("faultline", MFD_CLOEXEC));
  if (!segment->memory_ || ftruncate(segment->memory_.get(), static_cast<off_t>(segment->bytes_)) != 0) {
    return fail(make_error("no shared memory for process {}: {}", pid, std::strerror(errno)));
  }
  void* mapped = mmap(nullptr, segment->bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, segment->memory_.get(), 0);
  if (mapped == MAP_FAILED) return fail(make_error("no shared memory for process {}: {}", pid, std::strerror(errno)));
  segment->mapping_ = mapped;
  wire::SegmentHeader& header = segment->header();
  header.magic = wire::kMagic;
  header.version = wire::kVersion;
  header.ring_count = kRings;
  header.wrapped_calls = wrapped_calls ? 1 : 0;
  header.ring_bytes = kRingBytes;
  header.recorder_pid = getpid();
  segment->pending_.resize(kRings);
  return segment;
}

Segment::~Segment() {
  if (mapping_ != nullptr) munmap(mapping_, bytes_);
}

wire::Welcome Segment::welcome() const { return {wire::kMagic, wire::kVersion, 1, kRings, kRingBytes, bytes_}; }

wire::RingHeader& Segment::ring(std::uint32_t number) const {
  auto* rings = reinterpret_cast<wire::RingHeader*>(static_cast<std::uint8_t*>(mapping_) + wire::ring_header_offset());
  return rings[number];
}

const std::uint8_t* Segment::payload(std::uint32_t number) const {
  return static_cast<const std::uint8_t*>(mapping_) + wire::payload_offset(kRings) + number * kRingBytes;
}

std::uint64_t Segment::drain() {
  std::uint64_t total = 0;
  for (std::uint32_t number = 0; number < kRings; ++number) {
    wire::RingHeader& one = ring(number);
    const std::uint32_t state = one.state.load(std::memory_order_acquire);
    if (state == wire::kRingFree && number >= used_) break;  // the shim claims the first free one
    used_ = std::max(used_, number + 1);
    const std::uint64_t written = one.written.load(std::memory_order_acquire);
    const std::uint64_t consumed = one.consumed.load(std::memory_order_relaxed);
    const std::uint64_t count = written - consumed;
    if (count != 0 && count <= kRingBytes) {  // more: the program overwrote the header; nothing of it can be trusted
      Pending& pending = pending_[number];
      const std::uint64_t at = consumed & (kRingBytes - 1);
      const std::uint64_t first = std::min(count, kRingBytes - at);
      pending.bytes.insert(pending.bytes.end(), payload(number) + at, payload(number) + at + first);
      pending.bytes.insert(pending.bytes.end(), payload(number), payload(number) + (count - first));
      pending.tid = one.tid.load(std::memory_order_relaxed);
      one.consumed.store(written, std::memory_order_release);
      total += count;
      if (count > kRingBytes / 2) {  // its thread may sleep
        one.space.fetch_add(1, std::memory_order_release);
        syscall(SYS_futex, &one.space, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
      }
    }
    // What was retired before the bytes were read is complete. A new thread may have claimed the ring meanwhile.
    std::uint32_t retired = wire::kRingRetired;
    if (state == retired) one.state.compare_exchange_strong(retired, wire::kRingFree, std::memory_order_release);
  }
  return total;
}

void Segment::flush(std::uint64_t now_ns, std::uint64_t max_age_ns, std::size_t bytes, const Take& take) {
  for (std::uint32_t number = 0; number < used_; ++number) {
    Pending& pending = pending_[number];
    if (pending.bytes.empty()) continue;
    if (pending.since_ns == 0) pending.since_ns = std::max<std::uint64_t>(now_ns, 1);
    if (pending.bytes.size() < bytes && now_ns < pending.since_ns + max_age_ns) continue;
    const std::size_t size = pending.bytes.size();
    take(number, pending.tid, pending.sequence++, std::move(pending.bytes));
    pending.bytes = {};
    pending.bytes.reserve(size);
    pending.since_ns = 0;
  }
}

void Segment::beat() { header().heartbeat.fetch_add(1, std::memory_order_relaxed); }

void Segment::detach() {
  header().detached.store(1, std::memory_order_release);
  for (std::uint32_t number = 0; number < used_; ++number) {
    ring(number).space.fetch_add(1, std::memory_order_release);
    syscall(SYS_futex, &ring(number).space, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
}

void Segment::free_dead_threads() {
  if (used_ < kRings / 2) return;
  for (std::uint32_t number = 0; number < used_; ++number) {
    wire::RingHeader& one = ring(number);
    if (one.state.load(std::memory_order_acquire) != wire::kRingOwned) continue;
    const std::int32_t tid = one.tid.load(std::memory_order_relaxed);
    if (tid == 0 || syscall(SYS_tgkill, pid_, tid, 0) == 0 || errno != ESRCH) continue;
    std::uint32_t owned = wire::kRingOwned;  // what it wrote last is drained before the ring is freed
    one.state.compare_exchange_strong(owned, wire::kRingRetired);
  }
}

std::uint64_t Segment::dropped_events() const { return header().dropped_events.load(std::memory_order_relaxed); }
std::uint64_t Segment::lost_turns() const { return header().lost_turns.load(std::memory_order_relaxed); }

std::uint64_t Segment::resident_bytes() const {
  struct stat status {};
  return fstat(memory_.get(), &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

}  // namespace faultline::record
