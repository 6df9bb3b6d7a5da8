// Space for the allocator's own objects (arenas, threads), which must not lie in the heap: there every byte is where glibc
// has it. What programs need stands ready in the library's data; only beyond that there is a mapping that glibc does not make.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace faultline::allocator {

void* take_own_memory(std::size_t bytes);  // aligned to a cache line, never given back; nullptr without memory

// Objects of one kind, those given back first. The caller has a lock.
template <class T>
class Pool {
 public:
  template <class... Arguments>
  T* make(Arguments&&... arguments) {
    void* place = free_;
    if (free_ != nullptr) free_ = free_->next;
    else place = take_own_memory(sizeof(T));
    return place == nullptr ? nullptr : new (place) T(std::forward<Arguments>(arguments)...);
  }
  void destroy(T* object) {
    object->~T();
    free_ = new (object) Free{free_};
  }

 private:
  struct Free {
    Free* next;
  };
  Free* free_ = nullptr;
};

}  // namespace faultline::allocator
