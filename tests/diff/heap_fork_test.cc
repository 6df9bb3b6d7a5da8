// fork: malloc goes on in the child with a copy of the parent's state. The real glibc's addresses, before the fork, in the child
// and in the parent afterwards, against the model over the twin's forked address space.
//   FAULTLINE_HEAP_OPS   how many operations in all      FAULTLINE_HEAP_SEED   where to begin; printed on failure
#include <gtest/gtest.h>

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "heap/heap.h"
#include "heap/on/twin_memory.h"
#include "heap_fork_ops.h"
#include "heap_tunable_sets.h"

namespace faultline::heap {
namespace {

constexpr Address kBrk = 0x5555'5557'8000;
using Model = Heap<TwinMemory>;
using Slots = std::array<Address, kForkSlots>;

// Chunks of the heap count from its start. Where mmap puts the others is the kernel's choice, and hangs on what else is mapped: of those
// their place on the page is compared.
Address relative(Address address, Address heap_start, bool mapped) {
  constexpr Address kMapped = Address{1} << 63;
  return address == 0 ? 0 : mapped ? kMapped | address % 4096 : address - heap_start;
}

bool far_from_heap(Address address, Address heap_start) {
  constexpr Address kMost = Address{1} << 32;
  return address != 0 && (address < heap_start || address - heap_start > kMost);
}

void run(std::uint64_t seed, Model& model, Slots& slots, const std::uint64_t* real_answers, Address real_start) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int i = 0; i < kForkOps; ++i) {
    Address& slot = slots[fork_random(&state) % kForkSlots];
    const std::uint64_t kind = fork_random(&state) % 4;
    const std::uint64_t size = fork_size(&state);
    if (slot == 0) {
      slot = kind == 1 ? model.calloc(1, 1, size) : kind == 2 ? model.memalign(1, fork_alignment(size), size) : model.malloc(1, size);
    } else if (kind == 0) {
      slot = model.realloc(1, slot, size + 1);
    } else {
      model.free(1, slot);
      slot = 0;
    }
    const bool mapped = slot != 0 && model.chunk_of(slot).mmapped;
    ASSERT_EQ(relative(slot, kBrk, mapped), relative(real_answers[i], real_start, far_from_heap(real_answers[i], real_start))) << "seed " << seed << ", operation " << i;
  }
  model.check_invariants();
}

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(HeapFork, AddressesInParentAndChildEqualGlibc) {
  const std::uint64_t total = number_from("FAULTLINE_HEAP_OPS", 200'000), first_seed = number_from("FAULTLINE_HEAP_SEED", 1);
  std::uint64_t done = 0, forks = 0;
  for (std::uint64_t seed = first_seed; done < total; seed += 3) {
    const std::string tunables = diff::tunables_of(seed);
    if (tunables.find("hugetlb") != std::string::npos) continue;  // where the heap begins within 2 MiB decides there
    SCOPED_TRACE("seed " + std::to_string(seed) + ", '" + tunables + "'");
    auto answers = std::make_unique<ForkAnswers>();
    std::FILE* pipe = ::popen(("GLIBC_TUNABLES='" + tunables + "' " HEAP_FORK_DRIVER " " + std::to_string(seed)).c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    const std::size_t got = std::fread(answers.get(), 1, sizeof *answers, pipe);
    const int status = ::pclose(pipe);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "SKIPPED: this glibc is not 2.36";
    ASSERT_EQ(status, 0);
    ASSERT_EQ(got, sizeof *answers);

    mm::FrameTable frames;
    mm::AddressSpace space(frames, mm::KernelProfile::linux_6_18());
    TwinMemory memory(space, kBrk);
    Model parent(memory, diff::parameters_for(tunables));
    Slots slots{};
    run(seed, parent, slots, answers->address[0], answers->heap_start);
    if (HasFatalFailure()) return;

    const auto child_space = space.fork();
    ASSERT_TRUE(child_space);
    TwinMemory child_memory(**child_space, memory);
    Model child(child_memory, parent, 1);
    child.check_invariants();
    Slots child_slots = slots;
    run(seed + 1, child, child_slots, answers->address[1], answers->heap_start);
    if (HasFatalFailure()) return;
    run(seed + 2, parent, slots, answers->address[2], answers->heap_start);
    if (HasFatalFailure()) return;
    memory.check_invariants();
    child_memory.check_invariants();
    done += std::uint64_t{kForkPhases} * kForkOps;
    ++forks;
  }
  std::cout << done << " operations around " << forks << " forks from seed " << first_seed << ": no difference\n";
}

}  // namespace
}  // namespace faultline::heap
