#include <random>

#include "program.h"

namespace faultline::spec {

namespace {

class Generator {
 public:
  Generator(std::uint64_t seed, const Shape& shape) : random_(seed), shape_(shape) {}

  Program make() {
    Program program;
    for (int i = 0; i < shape_.calls; ++i) {
      Step step;
      step.process = shape_.forks ? alive_[below(alive_.size())] : 0;
      step.call = shape_.forks ? with_forks(step.process) : plain();
      program.push_back(step);
    }
    return program;
  }

 private:
  Call plain() {
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
  std::uint64_t advice() {
    if (shape_.forks && below(2) == 0) return pick({10, 11, 18, 19});
    return pick({4, 4, 4, 8, 14, 15, 0, 1, 2, 3, 20, 22, 23, 23, 99});
  }
  Call map() {
    const std::uint64_t placing = pick({0x10, 0x10, 0x10, 0x10, 0, 0x100000});
    const std::uint64_t extra = pick({0, 0, 0, 0, 0, 0x4000, 0x8000, 0x20000});
    const std::uint64_t kind = below(60) == 0 ? 0 : 2;
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
  std::uint64_t page() { return kWindow + below(kRoom) * kPage; }
  std::uint64_t address() { return below(50) == 0 ? page() + 1 + below(kPage - 1) : page(); }  // now and then misaligned
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
