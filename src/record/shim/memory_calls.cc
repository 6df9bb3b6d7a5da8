// mmap(2) and friends as far as they go through dynamic symbols; reported when the recorder has no tracepoints.
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "record/shim/encoder.h"
#include "record/shim/real_functions.h"

using namespace faultline::shim;
using faultline::wire::CallCode;

#define FL_EXPORT extern "C" __attribute__((visibility("default"), noinline))

namespace {

ThreadRing* reporting_ring() {
  ensure_real_functions();
  if (!process_is_recording() || process.segment->wrapped_calls == 0) return nullptr;
  return current_ring();
}

void report(ThreadRing* ring, CallCode code, Stamp stamp, const std::uint64_t (&arguments)[6], std::int64_t result) {
  const BusyRing busy(ring);
  if (!busy) return;
  std::uint8_t* out = reserve(*ring, 128);
  if (out == nullptr) return;
  *out++ = static_cast<std::uint8_t>(faultline::wire::RecordKind::call);
  out = faultline::wire::put_varint(out, stamp.begin - ring->last_tsc);
  out = faultline::wire::put_varint(out, stamp.end - stamp.begin);
  ring->last_tsc = stamp.end;
  out = faultline::wire::put_varint(out, static_cast<std::uint64_t>(code));
  for (const std::uint64_t argument : arguments) out = faultline::wire::put_varint(out, argument);
  out = faultline::wire::put_varint(out, faultline::wire::zigzag(result));
  commit(*ring, out);
}

std::uint64_t word(const void* p) { return reinterpret_cast<std::uint64_t>(p); }
std::uint64_t word(int v) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(v)); }
std::int64_t outcome(int status) { return status == 0 ? 0 : -std::int64_t{errno}; }
std::int64_t outcome(const void* p) { return p == MAP_FAILED ? -std::int64_t{errno} : static_cast<std::int64_t>(word(p)); }

}  // namespace

FL_EXPORT void* mmap(void* address, std::size_t length, int protection, int flags, int fd, off_t offset) {
  ThreadRing* ring = reporting_ring();
  const std::uint64_t begin = ticks();
  void* result = real.mmap(address, length, protection, flags, fd, offset);
  if (ring != nullptr) {
    report(ring, CallCode::mmap, {begin, ticks()},
           {word(address), length, word(protection), word(flags), word(fd), static_cast<std::uint64_t>(offset)}, outcome(result));
  }
  return result;
}

// On x86-64 off_t is off64_t: the same function under its other name.
FL_EXPORT void* mmap64(void* address, std::size_t length, int protection, int flags, int fd, off_t offset) {
  return mmap(address, length, protection, flags, fd, offset);
}

FL_EXPORT int munmap(void* address, std::size_t length) {
  ThreadRing* ring = reporting_ring();
  const std::uint64_t begin = ticks();
  const int status = real.munmap(address, length);
  if (ring != nullptr) report(ring, CallCode::munmap, {begin, ticks()}, {word(address), length, 0, 0, 0, 0}, outcome(status));
  return status;
}

FL_EXPORT void* mremap(void* old, std::size_t old_length, std::size_t length, int flags, ...) {
  ThreadRing* ring = reporting_ring();
  void* target = nullptr;
  if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
    va_list more;
    va_start(more, flags);
    target = va_arg(more, void*);
    va_end(more);
  }
  const std::uint64_t begin = ticks();
  void* result = real.mremap(old, old_length, length, flags, target);
  if (ring != nullptr) {
    report(ring, CallCode::mremap, {begin, ticks()}, {word(old), old_length, length, word(flags), word(target), 0}, outcome(result));
  }
  return result;
}

FL_EXPORT int madvise(void* address, std::size_t length, int advice) {
  ThreadRing* ring = reporting_ring();
  const std::uint64_t begin = ticks();
  const int status = real.madvise(address, length, advice);
  if (ring != nullptr) report(ring, CallCode::madvise, {begin, ticks()}, {word(address), length, word(advice), 0, 0, 0}, outcome(status));
  return status;
}

FL_EXPORT int mprotect(void* address, std::size_t length, int protection) {
  ThreadRing* ring = reporting_ring();
  const std::uint64_t begin = ticks();
  const int status = real.mprotect(address, length, protection);
  if (ring != nullptr) report(ring, CallCode::mprotect, {begin, ticks()}, {word(address), length, word(protection), 0, 0, 0}, outcome(status));
  return status;
}

FL_EXPORT int brk(void* end) {
  ThreadRing* ring = reporting_ring();
  const std::uint64_t begin = ticks();
  const int status = real.brk(end);
  if (ring != nullptr) {
    report(ring, CallCode::brk, {begin, ticks()}, {word(end), 0, 0, 0, 0, 0}, status == 0 ? static_cast<std::int64_t>(word(end)) : -ENOMEM);
  }
  return status;
}

FL_EXPORT void* sbrk(intptr_t increment) {
  ThreadRing* ring = increment != 0 ? reporting_ring() : nullptr;  // sbrk(0) is no system call
  ensure_real_functions();
  const std::uint64_t begin = ticks();
  void* result = real.sbrk(increment);
  if (ring != nullptr) {
    const bool good = result != reinterpret_cast<void*>(-1);
    const std::uint64_t end = word(result) + static_cast<std::uint64_t>(increment);
    report(ring, CallCode::brk, {begin, ticks()}, {good ? end : 0, 0, 0, 0, 0, 0}, good ? static_cast<std::int64_t>(end) : -ENOMEM);
  }
  return result;
}
