// fork: malloc goes on in the child with a copy of the parent's state. The real glibc's addresses, before the fork, in the child
// and in the parent afterwards, against the model over the twin's forked address space.
#include <gtest/gtest.h>

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "heap/heap.h"
#include "heap/on/twin_memory.h"
#include "heap_fork_ops.h"

namespace faultline::heap {
namespace {

constexpr Address kBrk = 0x5555'5557'8000;
using Model = Heap<TwinMemory>;
using Slots = std::array<Address, kForkSlots>;

// Chunks of the heap count from its start, mapped ones from the first mapping there ever was: both sides' layouts differ
// elsewhere.
struct Reference {
  Address heap_start = 0;
  Address first_mapping = 0;
  Address relative(Address address, bool mapped) {
    if (address == 0) return 0;
    if (!mapped) return address - heap_start;
    if (first_mapping == 0) first_mapping = address;
    return address - first_mapping;
  }
};

void run(std::uint64_t seed, Model& model, Slots& slots, const std::uint64_t* real_answers, Reference& twin, Reference& real) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int i = 0; i < kForkOps; ++i) {
    Address& slot = slots[fork_random(&state) % kForkSlots];
    const std::uint64_t kind = fork_random(&state) % 4;
    const std::uint64_t size = fork_size(&state);
    if (slot == 0) {
      slot = model.malloc(1, size);
    } else if (kind == 0) {
      slot = model.realloc(1, slot, size + 1);
    } else {
      model.free(1, slot);
      slot = 0;
    }
    const bool mapped = slot != 0 && model.chunk_of(slot).mmapped;
    ASSERT_EQ(twin.relative(slot, mapped), real.relative(real_answers[i], mapped)) << "seed " << seed << ", operation " << i;
  }
  model.check_invariants();
}

TEST(HeapFork, AddressesInParentAndChildEqualGlibc) {
  for (std::uint64_t seed = 1; seed <= 60; seed += 3) {
    auto answers = std::make_unique<ForkAnswers>();
    std::FILE* pipe = ::popen((std::string(HEAP_FORK_DRIVER) + " " + std::to_string(seed)).c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    const std::size_t got = std::fread(answers.get(), 1, sizeof *answers, pipe);
    const int status = ::pclose(pipe);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "SKIPPED: this glibc is not 2.36";
    ASSERT_EQ(status, 0);
    ASSERT_EQ(got, sizeof *answers);

    mm::FrameTable frames;
    mm::AddressSpace space(frames, mm::KernelProfile::linux_6_18());
    TwinMemory memory(space, kBrk);
    Model parent(memory, Parameters{});
    Slots slots{};
    Reference twin{kBrk, 0}, real{answers->heap_start, 0};
    run(seed, parent, slots, answers->address[0], twin, real);
    if (HasFatalFailure()) return;

    const auto child_space = space.fork();
    ASSERT_TRUE(child_space);
    TwinMemory child_memory(**child_space, memory);
    Model child(child_memory, parent, 1);
    child.check_invariants();
    Slots child_slots = slots;
    Reference child_twin = twin, child_real = real;
    run(seed + 1, child, child_slots, answers->address[1], child_twin, child_real);
    if (HasFatalFailure()) return;
    run(seed + 2, parent, slots, answers->address[2], twin, real);
    if (HasFatalFailure()) return;
    memory.check_invariants();
    child_memory.check_invariants();
  }
}

}  // namespace
}  // namespace faultline::heap
