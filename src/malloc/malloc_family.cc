// The malloc family as programs call it: malloc(3), posix_memalign(3), mallopt(3), malloc_trim(3), malloc_usable_size(3).
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include <bit>

#include "malloc/threads.h"

#define FL_EXPORT extern "C" __attribute__((visibility("default")))

namespace faultline::allocator {
namespace {

using heap::Address;

void* pointer(Address user) { return reinterpret_cast<void*>(user); }
Address address(const void* pointer) { return reinterpret_cast<Address>(pointer); }
void* or_enomem(Address user) {
  if (user == 0) [[unlikely]] errno = ENOMEM;
  return pointer(user);
}

// call(Heap&, Heap::Thread&). A thread past its end has no cache and keeps no arena.
template <class Call>
auto with_thread(Call call) {
  LocalThread* thread = local_thread();
  if (thread == nullptr) [[unlikely]] thread = begin_thread();
  if (thread != nullptr) [[likely]] return call(process_heap(), thread->heap);
  Heap::Thread passing;
  passing.ending = true;
  const auto result = call(process_heap(), passing);
  process_heap().arenas().thread_exit(passing.arena);
  return result;
}

// What the cache cannot do. Out of line, so that the common case saves no registers.
[[gnu::noinline]] void* malloc_slow(std::size_t size) {
  return or_enomem(with_thread([size](Heap& heap, Heap::Thread& thread) { return heap.malloc_uncached(thread, size); }));
}

[[gnu::noinline]] void free_slow(Address user) {
  with_thread([user](Heap& heap, Heap::Thread& thread) {
    heap.free_uncached(thread, user);
    return 0;
  });
}

Address aligned(std::size_t alignment, std::size_t size) {
  return with_thread([=](Heap& heap, Heap::Thread& thread) { return heap.memalign(thread, alignment, size); });
}

}  // namespace
}  // namespace faultline::allocator

using namespace faultline::allocator;

FL_EXPORT void* malloc(size_t size) noexcept {
  if (LocalThread* const thread = local_thread(); thread != nullptr) [[likely]] {
    if (const Address user = process_heap().malloc_cached(thread->heap, size)) [[likely]] return pointer(user);
  }
  return malloc_slow(size);
}

FL_EXPORT void free(void* block) noexcept {
  if (block == nullptr) [[unlikely]] return;
  if (LocalThread* const thread = local_thread(); thread != nullptr) [[likely]] {
    if (process_heap().free_cached(thread->heap, address(block))) [[likely]] return;
  }
  free_slow(address(block));
}

FL_EXPORT void* calloc(size_t count, size_t size) noexcept {
  return or_enomem(with_thread([=](Heap& heap, Heap::Thread& thread) { return heap.calloc(thread, count, size); }));
}

FL_EXPORT void* realloc(void* block, size_t size) noexcept {
  const Address user = with_thread([=](Heap& heap, Heap::Thread& thread) { return heap.realloc(thread, address(block), size); });
  if (user == 0 && block != nullptr && size == 0) return nullptr;  // that was a free
  return or_enomem(user);
}

FL_EXPORT void* reallocarray(void* block, size_t count, size_t size) noexcept {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return or_enomem(0);
  return realloc(block, bytes);
}

FL_EXPORT void* memalign(size_t alignment, size_t size) noexcept {
  const Address user = aligned(alignment, size);
  if (user == 0) errno = alignment > size_t{1} << 63 ? EINVAL : ENOMEM;
  return pointer(user);
}

FL_EXPORT void* aligned_alloc(size_t alignment, size_t size) noexcept { return memalign(alignment, size); }

FL_EXPORT int posix_memalign(void** block, size_t alignment, size_t size) noexcept {
  if (alignment < sizeof(void*) || !std::has_single_bit(alignment)) return EINVAL;
  const Address user = aligned(alignment, size);
  if (user == 0) return ENOMEM;
  *block = pointer(user);
  return 0;
}

FL_EXPORT void* valloc(size_t size) noexcept { return memalign(faultline::heap::KernelMemory::page_size(), size); }

FL_EXPORT void* pvalloc(size_t size) noexcept {
  return or_enomem(with_thread([size](Heap& heap, Heap::Thread& thread) { return heap.pvalloc(thread, size); }));
}

FL_EXPORT size_t malloc_usable_size(void* block) noexcept {
  return block == nullptr ? 0 : process_heap().usable_size(address(block));
}

FL_EXPORT int mallopt(int parameter, int value) noexcept {
  return with_thread([=](Heap& heap, Heap::Thread&) { return heap.mallopt(parameter, value); });
}

FL_EXPORT int malloc_trim(size_t pad) noexcept {
  return with_thread([=](Heap& heap, Heap::Thread&) { return heap.malloc_trim(pad); });
}

// libc's other names for the same. Whoever calls these gives the block to free all the same.
FL_EXPORT void cfree(void* block) noexcept __attribute__((alias("free")));
FL_EXPORT void* __libc_malloc(size_t size) noexcept __attribute__((alias("malloc")));
FL_EXPORT void __libc_free(void* block) noexcept __attribute__((alias("free")));
FL_EXPORT void* __libc_calloc(size_t count, size_t size) noexcept __attribute__((alias("calloc")));
FL_EXPORT void* __libc_realloc(void* block, size_t size) noexcept __attribute__((alias("realloc")));
FL_EXPORT void* __libc_memalign(size_t alignment, size_t size) noexcept __attribute__((alias("memalign")));
FL_EXPORT void* __libc_valloc(size_t size) noexcept __attribute__((alias("valloc")));
FL_EXPORT void* __libc_pvalloc(size_t size) noexcept __attribute__((alias("pvalloc")));
