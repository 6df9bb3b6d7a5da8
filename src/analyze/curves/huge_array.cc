#include "analyze/curves/huge_array.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>

namespace faultline::analyze {
namespace {

constexpr std::size_t kHuge = std::size_t{2} << 20;

class HugeMemory final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (bytes < kHuge) return std::pmr::new_delete_resource()->allocate(bytes, alignment);
    void* made = std::aligned_alloc(kHuge, (bytes + kHuge - 1) / kHuge * kHuge);
    if (made == nullptr) throw std::bad_alloc();
    ::madvise(made, bytes, MADV_HUGEPAGE);
    return made;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    if (bytes < kHuge) std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
    else std::free(block);
  }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

}  // namespace

std::pmr::memory_resource* huge_memory() {
  static HugeMemory memory;
  return &memory;
}

HugeBytes::~HugeBytes() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (file_ >= 0) ::close(file_);
}

Result<void> HugeBytes::grow(std::size_t bytes) {
  bytes = (bytes + 4095) & ~std::size_t{4095};
  if (bytes <= size_) return {};
  if (file_ >= 0 && ::ftruncate(file_, static_cast<off_t>(bytes)) != 0) {
    return fail(make_error("a temporary file of {} bytes: {}", bytes, std::strerror(errno)));
  }
  const int kind = file_ >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* made = data_ == nullptr ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kind, file_, 0) : ::mremap(data_, size_, bytes, MREMAP_MAYMOVE);
  if (made == MAP_FAILED) return fail(make_error("{} bytes of memory: {}", bytes, std::strerror(errno)));
  data_ = made;
  size_ = bytes;
  if (file_ < 0) ::madvise(data_, size_, MADV_HUGEPAGE);  // a wish: without it the array is only slower
  return {};
}

Result<void> HugeBytes::move_to_file() {
  if (file_ >= 0) return {};
  const char* directory = std::getenv("TMPDIR");
  if (directory == nullptr || *directory == 0) directory = "/tmp";
  const int file = ::open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) return fail(make_error("{}: a temporary file: {}", directory, std::strerror(errno)));
  HugeBytes moved;
  moved.file_ = file;
  FL_CHECK(moved.grow(size_));
  if (size_ > 0) std::memcpy(moved.data_, data_, size_);
  *this = std::move(moved);
  return {};
}

}  // namespace faultline::analyze
