// The interposed malloc family: forward, then record. Every entry point keeps its own frame (FL_CALLER) and errno.
#include <errno.h>

#include "record/shim/block_watch.h"
#include "record/shim/encoder.h"
#include "record/shim/real_functions.h"
#include "record/shim/touch.h"
#include "record/shim/turn.h"

using namespace faultline::shim;
using faultline::wire::RecordKind;

#define FL_EXPORT extern "C" __attribute__((visibility("default"), noinline))

namespace {

inline std::uint64_t word(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

// The caller's ring, or nullptr: forward and forget. `real` is ready afterwards.
inline ThreadRing* enter() {
  ThreadRing* ring = current_ring();
  if (__builtin_expect(ring == nullptr, 0)) ensure_real_functions();
  return ring;
}

inline bool is_looked_at(std::uint64_t pointer) {
  return pointer != 0 && process.is_glibc && process.options.touches && (load_word(pointer - 8) & ~std::uint64_t{7}) >= kSmallestWatched;
}

inline void record_allocation(ThreadRing* ring, RecordKind kind, Stamp stamp, Caller caller, std::uint64_t first,
                              const std::uint64_t* second, std::uint64_t pointer) {
  const BusyRing busy(ring);
  if (!busy) return;
  Encoder encoder(*ring, kind, stamp, &caller);
  if (!encoder.ok()) return;
  encoder.number(first);
  if (second != nullptr) encoder.number(*second);
  encoder.pointer(pointer, header_flags(pointer)).finish();
  if (is_looked_at(pointer)) watch_block(*ring, pointer, encoder.site(), true);
}

inline void look_before(ThreadRing* ring, std::uint64_t pointer) {
  if (!is_looked_at(pointer)) return;
  const BusyRing busy(ring);
  if (!busy) return;
  record_contents(*ring, pointer);
  record_touch(*ring, pointer);
}

inline void* reallocate(void* old, std::size_t size, Caller caller, ThreadRing* ring) {
  const std::uint64_t old_flags = header_flags(word(old));
  look_before(ring, word(old));
  Turn turn(ring);
  void* result = real.realloc(old, size);
  const Stamp stamp = turn.stamp();
  const BusyRing busy(ring);
  if (!busy) return result;
  Encoder encoder(*ring, RecordKind::realloc, stamp, &caller);
  if (encoder.ok()) {
    encoder.number(size).pointer(word(old), old_flags).pointer(word(result), header_flags(word(result))).finish();
    if (is_looked_at(word(result))) watch_block(*ring, word(result), encoder.site(), old == nullptr);
  }
  return result;
}

}  // namespace

FL_EXPORT void* malloc(std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.malloc(size);
  Turn turn(ring);
  void* result = real.malloc(size);
  record_allocation(ring, RecordKind::malloc, turn.stamp(), FL_CALLER, size, nullptr, word(result));
  return result;
}

FL_EXPORT void* calloc(std::size_t count, std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.calloc(count, size);
  Turn turn(ring);
  void* result = real.calloc(count, size);
  const std::uint64_t second = size;
  record_allocation(ring, RecordKind::calloc, turn.stamp(), FL_CALLER, count, &second, word(result));
  return result;
}

FL_EXPORT void free(void* pointer) {
  if (pointer == nullptr) return;
  ThreadRing* ring = enter();
  if (ring == nullptr) {
    real.free(pointer);
    return;
  }
  const std::uint64_t flags = header_flags(word(pointer));
  look_before(ring, word(pointer));
  Turn turn(ring);
  real.free(pointer);
  const Stamp stamp = turn.stamp();
  const BusyRing busy(ring);
  if (!busy) return;
  const Caller caller = FL_CALLER;
  Encoder encoder(*ring, RecordKind::free, stamp, &caller);
  if (encoder.ok()) encoder.pointer(word(pointer), flags).finish();
}

FL_EXPORT void* realloc(void* old, std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.realloc(old, size);
  return reallocate(old, size, FL_CALLER, ring);
}

FL_EXPORT void* reallocarray(void* old, std::size_t count, std::size_t size) {
  ThreadRing* ring = enter();
  std::size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    errno = ENOMEM;
    return nullptr;
  }
  if (ring == nullptr) return real.realloc(old, bytes);
  return reallocate(old, bytes, FL_CALLER, ring);
}

FL_EXPORT void* memalign(std::size_t alignment, std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.memalign(alignment, size);
  Turn turn(ring);
  void* result = real.memalign(alignment, size);
  const std::uint64_t second = alignment;
  record_allocation(ring, RecordKind::memalign, turn.stamp(), FL_CALLER, size, &second, word(result));
  return result;
}

FL_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.aligned_alloc(alignment, size);
  Turn turn(ring);
  void* result = real.aligned_alloc(alignment, size);
  const std::uint64_t second = alignment;
  record_allocation(ring, RecordKind::memalign, turn.stamp(), FL_CALLER, size, &second, word(result));
  return result;
}

FL_EXPORT int posix_memalign(void** out, std::size_t alignment, std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.posix_memalign(out, alignment, size);
  Turn turn(ring);
  const int status = real.posix_memalign(out, alignment, size);
  const Stamp stamp = turn.stamp();
  if (status == EINVAL) return status;  // the allocator was not asked
  const std::uint64_t second = alignment;
  record_allocation(ring, RecordKind::memalign, stamp, FL_CALLER, size, &second, status == 0 ? word(*out) : 0);
  return status;
}

FL_EXPORT void* valloc(std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.valloc(size);
  Turn turn(ring);
  void* result = real.valloc(size);
  const std::uint64_t page = 4096;
  record_allocation(ring, RecordKind::memalign, turn.stamp(), FL_CALLER, size, &page, word(result));
  return result;
}

FL_EXPORT void* pvalloc(std::size_t size) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.pvalloc(size);
  Turn turn(ring);
  void* result = real.pvalloc(size);
  record_allocation(ring, RecordKind::pvalloc, turn.stamp(), FL_CALLER, size, nullptr, word(result));
  return result;
}

// Not recorded; interposed so that it asks the same allocator that gave the block (allocator=glibc).
FL_EXPORT std::size_t malloc_usable_size(void* pointer) {
  ensure_real_functions();
  return real.malloc_usable_size(pointer);
}

FL_EXPORT int mallopt(int parameter, int value) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.mallopt(parameter, value);
  Turn turn(ring);
  const int result = real.mallopt(parameter, value);
  const Stamp stamp = turn.stamp();
  const BusyRing busy(ring);
  if (!busy) return result;
  Encoder encoder(*ring, RecordKind::mallopt, stamp, nullptr);
  if (encoder.ok()) encoder.signed_number(parameter).signed_number(value).number(static_cast<std::uint64_t>(result)).finish();
  return result;
}

FL_EXPORT int malloc_trim(std::size_t pad) {
  ThreadRing* ring = enter();
  if (ring == nullptr) return real.malloc_trim(pad);
  Turn turn(ring);
  const int result = real.malloc_trim(pad);
  const Stamp stamp = turn.stamp();
  const BusyRing busy(ring);
  if (!busy) return result;
  const Caller caller = FL_CALLER;
  Encoder encoder(*ring, RecordKind::malloc_trim, stamp, &caller);
  if (encoder.ok()) encoder.number(pad).number(static_cast<std::uint64_t>(result)).finish();
  return result;
}
