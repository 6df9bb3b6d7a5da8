#include "malloc/own_memory.h"

#include <cstdint>

#include "heap/on/kernel_memory.h"
#include "malloc/futex_mutex.h"

namespace faultline::allocator {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kStep = 256 * 1024;  // some eighty arenas and hundreds of threads

alignas(kCacheLine) constinit unsigned char ready_space[kStep];  // zero pages until they are used
constinit FutexMutex mutex;
constinit std::uintptr_t at = 0, end = 0;

}  // namespace

void* take_own_memory(std::size_t bytes) {
  bytes = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  mutex.lock();
  if (at == 0) {
    at = reinterpret_cast<std::uintptr_t>(ready_space);
    end = at + kStep;
  }
  void* taken = nullptr;
  if (end - at < bytes) {
    heap::KernelMemory memory;
    const heap::Address more = memory.map({.length = kStep});
    if (more != heap::kFailed) {
      at = more;
      end = more + kStep;
    }
  }
  if (end - at >= bytes) {
    taken = reinterpret_cast<void*>(at);
    at += bytes;
  }
  mutex.unlock();
  return taken;
}

}  // namespace faultline::allocator
