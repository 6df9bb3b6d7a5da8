// malloc and its family, mallopt, tunables.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "lab/verb.h"

namespace faultline::lab {

namespace {

struct Parameter {
  std::string_view name;
  int number;
};
constexpr std::array<Parameter, 8> kParameters = {{{"M_MXFAST", heap::kMxfast},
                                                   {"M_TRIM_THRESHOLD", heap::kTrimThreshold},
                                                   {"M_TOP_PAD", heap::kTopPad},
                                                   {"M_MMAP_THRESHOLD", heap::kMmapThreshold},
                                                   {"M_MMAP_MAX", heap::kMmapMax},
                                                   {"M_PERTURB", heap::kPerturb},
                                                   {"M_ARENA_TEST", heap::kArenaTest},
                                                   {"M_ARENA_MAX", heap::kArenaMax}}};

// The block is bound to the name asked for, and the first line says where it lies.
void announce(Lab& lab, LabProcess& process, std::string name, std::uint64_t user, std::uint64_t size) {
  if (user == 0) {
    lab.effects().refuse(mm::Errno::nomem);
    if (!name.empty()) process.bind(name, {});
    lab.effects().first_note(fmt::format("{} = NULL (ENOMEM)", name.empty() ? "the answer" : name));
    return;
  }
  const std::string other = process.bind(name, {Block::Kind::malloced, user, size, false});
  const HeapMemory::Peek peek(process.memory());
  const heap::ChunkInfo chunk = process.heap().chunk_of(user);
  lab.effects().first_note(chunk.mmapped ? fmt::format("{} = {:#x}: a mapping of its own of {}", name, user, size_text(chunk.size))
                                         : fmt::format("{} = {:#x}: a chunk of {} in the heap", name, user, size_text(chunk.size)));
  if (!other.empty()) lab.effects().note(fmt::format("the block that was {} is still allocated: it is {} now", name, other));
}

// call(heap) -> user address, with what may go wrong under it.
template <typename Call>
Result<void> allocate(Lab& lab, const std::string& name, std::uint64_t size, Call&& call) {
  FL_TRY(LabProcess* const process, lab.current());
  std::uint64_t user = 0;
  if (lab.with_malloc(*process, [&] { user = call(process->heap_for_use()); })) announce(lab, *process, name, user, size);
  return {};
}

Result<void> malloc(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::uint64_t size, arguments.size());
  FL_CHECK(arguments.end());
  return allocate(lab, arguments.result_name(), size, [&](LabProcess::Heap& heap) { return heap.malloc(kThread, size); });
}

Result<void> calloc(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::uint64_t count, arguments.size("a number of elements"));
  FL_TRY(const std::uint64_t size, arguments.size("the size of an element"));
  FL_CHECK(arguments.end());
  return allocate(lab, arguments.result_name(), count * size,
                  [&](LabProcess::Heap& heap) { return heap.calloc(kThread, count, size); });
}

Result<void> memalign(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::uint64_t alignment, arguments.size("an alignment"));
  FL_TRY(const std::uint64_t size, arguments.size());
  FL_CHECK(arguments.end());
  return allocate(lab, arguments.result_name(), size,
                  [&](LabProcess::Heap& heap) { return heap.memalign(kThread, alignment, size); });
}

// A block of malloc's by its name. One whose memory is gone kills the process, as reading its header would.
Result<std::optional<std::string>> live_block(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.block_name("a block of malloc's"));
  FL_TRY(LabProcess* const process, lab.current());
  const Block& block = *process->find_block(name);
  if (block.kind != Block::Kind::malloced) {
    return fail(make_error("{}: wanted a block of malloc's, found {}, a mapping of mmap's: munmap gives it back", arguments.verb(), quoted(name)));
  }
  if (!block.lost) return std::optional(name);
  lab.kill(*process, "SIGSEGV", fmt::format("{} reads the header of {} at {:#x}, whose memory was unmapped", arguments.verb(), name, block.address - 16));
  return std::optional<std::string>();
}

Result<void> free(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::optional<std::string> name, live_block(lab, arguments));
  FL_CHECK(arguments.end());
  if (!name) return {};
  FL_TRY(LabProcess* const process, lab.current());
  const std::uint64_t user = process->find_block(*name)->address;
  process->blocks().erase(*name);
  lab.with_malloc(*process, [&] { process->heap_for_use().free(kThread, user); });
  return {};
}

Result<void> realloc(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::optional<std::string> name, live_block(lab, arguments));
  FL_TRY(const std::uint64_t size, arguments.size("the new size"));
  FL_CHECK(arguments.end());
  if (!name) return {};
  FL_TRY(LabProcess* const process, lab.current());
  const Block old = *process->find_block(*name);
  std::uint64_t user = 0;
  if (!lab.with_malloc(*process, [&] { user = process->heap_for_use().realloc(kThread, old.address, size); })) return {};
  if (user == 0 && size != 0) {  // the old block stays
    lab.effects().refuse(mm::Errno::nomem);
    lab.effects().first_note(fmt::format("realloc answers NULL (ENOMEM); {} stays as it is", *name));
    return {};
  }
  process->blocks().erase(*name);
  if (size == 0 && old.address != 0) {
    lab.effects().first_note(fmt::format("{} is freed", *name));
    return {};
  }
  announce(lab, *process, arguments.result_name().empty() ? *name : arguments.result_name(), user, size);
  lab.effects().note(user == old.address ? "the block stayed where it was" : "the block moved");
  return {};
}

Result<void> malloc_trim(Lab& lab, Arguments& arguments) {
  std::uint64_t pad = 0;
  if (!arguments.done()) {
    FL_TRY(pad, arguments.size("what to keep at the top"));
  }
  FL_TRY(LabProcess* const process, lab.current());
  int gave = 0;
  if (lab.with_malloc(*process, [&] { gave = process->heap_for_use().malloc_trim(kThread, pad); })) {
    lab.effects().first_note(fmt::format("malloc_trim = {}", gave));
  }
  return {};
}

Result<void> mallopt(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.word("a parameter such as M_MMAP_THRESHOLD"));
  const auto parameter = std::find_if(kParameters.begin(), kParameters.end(), [&](const Parameter& one) { return one.name == name; });
  if (parameter == kParameters.end()) {
    std::string all;
    for (const Parameter& one : kParameters) all += fmt::format("{}{}", all.empty() ? "" : ", ", one.name);
    return fail(make_error("mallopt: wanted one of {}, found {}", all, quoted(name)));
  }
  FL_TRY(const std::uint64_t value, arguments.size("a value"));
  if (value > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
    return fail(make_error("mallopt: wanted a value that fits an int, found {}", value));
  }
  FL_TRY(LabProcess* const process, lab.current());
  int answer = 0;
  if (lab.with_malloc(*process, [&] { answer = process->heap_for_use().mallopt(kThread, parameter->number, static_cast<int>(value)); })) {
    lab.effects().first_note(fmt::format("mallopt = {}", answer));
  }
  return {};
}

Result<void> tunables(Lab& lab, Arguments& arguments) {
  FL_TRY(LabProcess* const process, lab.current());
  if (process->has_heap()) {
    return fail(make_error("tunables: wanted them before the first malloc of process {}, found a heap at work: ld.so reads them at the start", process->name()));
  }
  do {
    FL_TRY(const std::string assignment, arguments.word("KEY=VALUE"));
    heap::Tunables changed = process->tunables();
    const Result<void> set = changed.set(assignment);
    if (!set) return fail(make_error("tunables: {}", set.error().message()));
    heap::Parameters parameters;
    parameters.tunables = changed;
    if (const auto missing = heap::not_modelled(parameters)) return fail(make_error("tunables: {}", *missing));
    process->tunables() = changed;
  } while (!arguments.done());
  lab.effects().note("GLIBC_TUNABLES=" + process->tunables().to_glibc_tunables());
  return {};
}

constexpr Verb kVerbs[] = {
    {"malloc", "SIZE", "a = malloc 30K", malloc, Verb::Result::address},
    {"calloc", "COUNT SIZE", "a = calloc 10 4K: zeroed", calloc, Verb::Result::address},
    {"realloc", "NAME SIZE", "realloc a 60K: the name moves with the block", realloc, Verb::Result::address},
    {"memalign", "ALIGNMENT SIZE", "a = memalign 64K 100", memalign, Verb::Result::address},
    {"free", "NAME", "free a", free},
    {"malloc_trim", "[PAD]", "gives whole free pages back to the kernel", malloc_trim},
    {"mallopt", "M_... VALUE", "mallopt M_MMAP_THRESHOLD 64K", mallopt},
    {"tunables", "KEY=VALUE...", "of this process's malloc, before its first use: tunables mmap_threshold=64K tcache_count=0", tunables},
};

}  // namespace

std::span<const Verb> malloc_verbs() { return kVerbs; }

}  // namespace faultline::lab
