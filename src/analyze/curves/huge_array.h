// HugeArray: a large array of plain values, zeroed, in huge pages where the kernel grants them: tables of hundreds of megabytes that are
// read at random cost a TLB miss per read otherwise. It may live in an unlinked file instead, for what should not take memory.
#pragma once

#include <cstdint>
#include <cstddef>
#include <memory_resource>
#include <string>
#include <type_traits>
#include <utility>

#include "base/result.h"

namespace faultline::analyze {

// Zeroed bytes from mmap; growing keeps the contents and zeroes the rest.
class HugeBytes {
 public:
  HugeBytes() = default;
  HugeBytes(HugeBytes&& other) noexcept { *this = std::move(other); }
  HugeBytes& operator=(HugeBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(file_, other.file_);
    return *this;
  }
  ~HugeBytes();

  Result<void> grow(std::size_t bytes);
  // From now on in a file of the directory (TMPDIR, else /tmp); what is there already is copied.
  Result<void> move_to_file();
  bool in_file() const { return file_ >= 0; }
  void* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
  int file_ = -1;
};

template <typename T>
class HugeArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  // Not enough memory is an error, not an exception: sizes come from the input.
  Result<void> grow(std::size_t count) {
    FL_CHECK(bytes_.grow(count * sizeof(T)));
    count_ = count;
    return {};
  }
  Result<void> move_to_file() { return bytes_.move_to_file(); }
  bool in_file() const { return bytes_.in_file(); }
  T* data() const { return static_cast<T*>(bytes_.data()); }
  T& operator[](std::size_t at) const { return data()[at]; }
  std::size_t size() const { return count_; }

 private:
  HugeBytes bytes_;
  std::size_t count_ = 0;
};

// The same for containers that ask a memory resource: blocks of two megabytes and more in huge pages, smaller ones from the heap.
std::pmr::memory_resource* huge_memory();

}  // namespace faultline::analyze
