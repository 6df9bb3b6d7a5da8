#include <random>

#include "program.h"

namespace faultline::spec {

namespace {

class Generator {
 public:
  Generator(std::uint64_t seed, const Shape& shape) : random_(seed), shape_(shape) {}

  Program make() {
    Program program;
    if (shape_.files) {
      for (std::uint64_t slot = 0; slot < 3; ++slot) {
        const std::uint64_t pages = 1 + below(48);
        const std::uint64_t bytes = pages * kPage - (below(3) == 0 ? below(kPage) : 0);
        const std::uint64_t chunk = shape_.large_folios ? pick({1, 1, 2, 4, 8, 16, 64}) : 1;
        program.push_back({0, {Op::open, slot, below(3) == 0 ? 1u : 0u, bytes, chunk * kPage, below(6) == 0 ? 1u : 0u}});
      }
    }
    if (shape_.huge_pages) program.push_back({0, {Op::huge, 1}});
    for (int i = 0; i < shape_.calls; ++i) {
      Step step;
      step.process = shape_.forks ? alive_[below(alive_.size())] : 0;
      step.call = shape_.every_call ? any() : (shape_.forks ? with_forks(step.process) : plain());
      program.push_back(step);
    }
    return program;
  }

 private:
  Call plain() {
    if (shape_.huge_pages) return huge_call();
    if (shape_.files && below(4) == 0) return file_call();
    switch (below(16)) {
      case 0:
      case 1:
      case 2: return map();
      case 3: return {Op::munmap, address(), length()};
      case 4:
      case 5: return {Op::mprotect, address(), length(), pick({0, 1, 3, 3, 3, 5, 7})};
      case 6:
      case 7: return remap();
      case 8:
      case 9: return {Op::madvise, address(), length(), advice()};
      case 10: return {Op::brk, below(8) == 0 ? ~std::uint64_t{0} : below(24 * kPage)};
      default: return {Op::touch, page(), (1 + below(12)) * kPage, below(3) != 0 ? 1u : 0u};
    }
  }
  // Every call, with the arguments that matter; lengths now and then reach over everything.
  Call any() {
    switch (below(44)) {
      case 0: case 1: case 2: case 3: case 4: case 5: case 6: case 7: return map_any();
      case 8: case 9: return {Op::munmap, address(), length()};
      case 10: case 11: case 12: case 13: return {Op::mprotect, address(), length(), protection()};
      case 14: case 15: case 16: case 17: case 18: return remap();
      case 19: case 20: case 21: case 22: case 23: case 24: case 25: return {Op::madvise, address(), length(), any_advice()};
      case 26: case 27: return {Op::brk, below(8) == 0 ? ~std::uint64_t{0} : below(24 * kPage)};
      case 28: return {Op::mlock, address(), length(), pick({0, 0, 1, 1, 2})};
      case 29: return {Op::munlock, address(), length()};
      case 30:
        if (below(4) != 0) return {Op::mlock, address(), length(), below(2)};
        return below(2) != 0 ? Call{Op::munlockall} : Call{Op::mlockall, pick({0, 1, 2, 2, 3, 4, 5, 6, 6, 7, 8})};
      case 31: return {Op::msync, address(), length(), pick({0, 1, 2, 3, 4, 5, 6, 8})};
      case 32: return {Op::mincore, address(), length()};
      case 33: return limit();
      default: return {Op::touch, page(), (1 + below(12)) * kPage, below(3) != 0 ? 1u : 0u};
    }
  }
  std::uint64_t protection() {
    return pick({0, 0, 1, 1, 3, 3, 3, 3, 5, 7, 2, 4, 6, 8, 11, 16, 0x01000003, 0x01000001, 0x02000003, 0x03000003});
  }
  std::uint64_t any_advice() {
    return pick({4, 4, 4, 4, 8, 8, 8, 21, 21, 21, 20, 0, 1, 2, 3, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 22, 22, 23, 23, 24, 25,
                 102, 102, 102, 103, 103, 99, 5});
  }
  Call map_any() {
    const std::uint64_t placing = pick({0x10, 0x10, 0x10, 0x10, 0x10, 0, 0x100000, 0x40, 0x80});
    std::uint64_t extra = pick({0, 0, 0, 0, 0, 0, 0x4000, 0x8000, 0x20000, 0x18000, 0x2000, 0x100, 0x100, 0x800});
    if (below(6) == 0) extra |= pick({0x4000, 0x8000, 0x2000, 0x100, 0x10000});
    const std::uint64_t kind = below(30) == 0 ? pick({0, 3, 8, 8, 8, 4, 10}) : 2;
    const std::uint64_t where = placing != 0x10 && below(4) == 0 ? pick({0, 0, 1, 0x1000, 0x7fffffff0000, ~std::uint64_t{0xfff}}) : address();
    std::uint64_t bytes = length();
    if (below(40) == 0) bytes = pick({std::uint64_t{1} << 20, std::uint64_t{2} << 20, std::uint64_t{6} << 20, std::uint64_t{1} << 47, ~std::uint64_t{0}});
    if ((placing & 0x10) != 0 && bytes > (std::uint64_t{1} << 29)) bytes = length();  // never over the child itself
    return {Op::mmap, where, bytes, protection() & 7, 0x20 | kind | placing | extra};
  }
  Call limit() {
    const std::uint64_t resource = pick({2, 3, 8, 9});
    if (below(3) == 0) return {Op::limit, resource, 0, 1};
    return {Op::limit, resource, resource == 3 ? pick({16, 40, 400}) * kPage : below(40) * kPage + (below(3) == 0 ? below(kPage) : 0)};
  }
  Call with_forks(std::uint32_t process) {
    const std::uint64_t choice = below(14);
    if (choice == 0 && alive_.size() < 4 && next_ < 12) {
      alive_.push_back(next_);
      return {Op::fork, next_++};
    }
    if (choice == 1 && process != 0) {
      std::erase(alive_, process);
      return {Op::exit};
    }
    return plain();
  }
  Call file_call() {
    switch (below(12)) {
      case 0: return {Op::truncate, below(3), below(50) * kPage};
      case 1: return {Op::fsync, below(3)};
      case 2: return {Op::msync, address(), length(), pick({1, 2, 4, 4, 4, 4, 6, 8})};
      case 3: return {Op::mincore, page(), (1 + below(40)) * kPage};
      case 4: return {Op::madvise, address(), length(), pick({9, 3, 1, 2, 0})};
      default: return map_a_file();
    }
  }
  Call map_a_file() {
    const std::uint64_t placing = pick({0x10, 0x10, 0x10, 0x10, 0, 0x100000});
    // Populating elsewhere depends on what else the process has there: whether a page table exists.
    const std::uint64_t extra = placing != 0 ? pick({0, 0, 0, 0, 0, 0x8000}) : 0;
    return {Op::map_file, page(), length(), pick({1, 1, 3, 3, 3, 5, 7, 0}), pick({1, 2, 2}) | placing | extra,
            below(3) << 32 | below(3) * below(30)};
  }
  std::uint64_t advice() {
    if (shape_.forks && below(2) == 0) return pick({10, 11, 18, 19});
    return pick({4, 4, 4, 8, 14, 15, 0, 1, 2, 3, 20, 22, 23, 23, 99});
  }
  Call map() {
    const std::uint64_t placing = pick({0x10, 0x10, 0x10, 0x10, 0, 0x100000});
    const std::uint64_t extra = pick({0, 0, 0, 0, 0, 0x4000, 0x8000, 0x20000});
    std::uint64_t kind = below(60) == 0 ? 0 : 2;
    if (shape_.shared_memory && below(2) == 0) kind = 1;
    return {Op::mmap, address(), length(), pick({0, 1, 3, 3, 3, 3, 7}), 0x20 | kind | placing | extra};
  }
  Call remap() {
    const std::uint64_t flags = pick({0, 0, 1, 3, 3, 3, 3, 5, 7, 2, 8});
    const std::uint64_t old_length = length();
    std::uint64_t new_length = below(3) == 0 ? old_length : length();
    if (flags == 5 && below(4) != 0) new_length = old_length;
    return {Op::mremap, address(), old_length, new_length, flags, address()};
  }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::uint64_t pick(std::initializer_list<std::uint64_t> choices) { return choices.begin()[below(choices.size())]; }
  std::uint64_t page() { return kWindow + below(shape_.room) * kPage; }
  std::uint64_t address() { return below(50) == 0 ? page() + 1 + below(kPage - 1) : page(); }  // now and then misaligned
  // An edge of a region, or near one, or in the middle.
  std::uint64_t huge_place() { return kWindow + (below(4) * 512 + pick({0, 0, 0, 0, 1, 256, 511})) * kPage; }
  std::uint64_t huge_length() { return pick({512, 512, 512, 1024, 1536, 1, 3, 511, 256, 513}) * kPage; }
  Call huge_call() {
    switch (below(18)) {
      case 0:
      case 1:
      case 2: return {Op::mmap, huge_place(), huge_length(), pick({3, 3, 3, 1, 0}), 0x32};
      case 3: return {Op::munmap, huge_place(), huge_length()};
      case 4: return {Op::mprotect, huge_place(), huge_length(), pick({0, 1, 3, 3})};
      case 5:
      case 6: return {Op::mremap, huge_place(), huge_length(), huge_length(), pick({0, 1, 3, 3, 3}), huge_place()};
      case 7:
      case 8:
      case 9: return {Op::madvise, huge_place(), huge_length(), pick({14, 14, 14, 14, 15})};
      case 10:
      case 11: return {Op::madvise, huge_place(), huge_length(), pick({4, 4, 4, 25, 23, 22})};  // FREE and COLD split folios: docs/FIDELITY.md
      default: return {Op::touch, huge_place(), pick({1, 1, 3, 512, 600}) * kPage, below(3) != 0 ? 1u : 0u};
    }
  }
  std::uint64_t length() {
    if (below(40) == 0) return 0;
    return (1 + below(16)) * kPage - (below(10) == 0 ? below(kPage) : 0);
  }

  std::mt19937_64 random_;
  Shape shape_;
  std::vector<std::uint32_t> alive_{0};
  std::uint32_t next_ = 1;
};

}  // namespace

Program random_program(std::uint64_t seed, const Shape& shape) { return Generator(seed, shape).make(); }

}  // namespace faultline::spec
