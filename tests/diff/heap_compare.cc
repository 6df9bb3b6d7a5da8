#include "heap_compare.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "heap_facts.h"
#include "heap_script_memory.h"

namespace faultline::diff {
namespace {

using heap::Address;
using Model = heap::Heap<ScriptMemory>;
std::size_t op_now = 0;

class ModelRun {
 public:
  ModelRun(const DriverRun& run, const heap::Parameters& parameters)
      : memory_(run), model_(memory_, parameters), header_(parameters.version.heap_info_keeps_page ? 0x30 : 0x20),
        check_residency_(run.header().check_residency != 0), slots_(kSlots), requested_(kSlots) {}

  std::uint64_t perform(const Op& op) {
    own_arena_ = arena_of(slots_[op.slot % kSlots]);
    const std::uint16_t thread = op.thread % kThreads;
    if (thread != 0 && !alive_[thread] && op.kind != kOpThreadEnd) begin_thread(thread);
    Address& slot = slots_[op.slot % kSlots];
    if (op.kind == kOpAccount) return fact(op);
    image_.reset();
    switch (op.kind) {
      case kOpRealloc: {
        const Address moved = model_.realloc(thread, slot, op.a);
        if (moved != 0 || op.a == 0) {
          slot = moved;
          requested_[op.slot % kSlots] = op.a;
        }
        return moved;
      }
      case kOpTouch: return touch(slot, op.a, op.b);
      case kOpFree:
        if (slot != 0) {
          if (!model_.owns(slot)) throw Mismatch{"model: owns() denies a live block"};
          model_.free(thread, slot);
        }
        slot = 0;
        return 0;
      case kOpTrim: return static_cast<std::uint64_t>(model_.malloc_trim(thread, op.a));
      case kOpMallopt:
        return static_cast<std::uint64_t>(model_.mallopt(thread, static_cast<int>(op.a), static_cast<int>(op.b)));
      case kOpSbrk: return memory_.sbrk(static_cast<std::int64_t>(op.a));
      case kOpRefuse: return 0;  // the memory answers as the driver's did
      case kOpWalk: model_.check_invariants(); return mix(walk(), walk_thread_arena(arena_of(slot)));
      case kOpResident: return resident(slot);
      case kOpThreadEnd: return end_thread(thread);
      default:
        if (slot != 0) return 0;
        requested_[op.slot % kSlots] = asked_by(&op);
        return slot = allocate(thread, op);
    }
  }

  Answer answer(const Op& op, std::uint64_t result) {
    const bool gives_block = op.kind == kOpRealloc || op.kind < kOpFree || (op.kind > kOpFree && op.kind < kOpTrim);
    Answer out{};
    out.result = result;
    if (gives_block && result != 0) {
      out.head = memory_.load_word(result - 8);
      if ((out.head & heap::kMmapped) != 0) out.offset = memory_.load_word(result - 16);
    }
    const heap::ArenaId own = gives_block && arena_of(result) != heap::kNoArena ? arena_of(result) : own_arena_;
    if (own != heap::kNoArena) {
      const heap::HeapState s = model_.state(own);
      out.arena_top = s.top;
      out.arena_top_size = s.top_size;
      out.arena_system_mem = s.system_mem;
      out.arena_max_system_mem = s.max_system_mem;
    }
    const heap::HeapState s = model_.state();
    out.brk = memory_.current_break();
    out.top = s.top;
    out.top_size = s.top_size;
    out.system_mem = s.system_mem;
    out.max_system_mem = s.max_system_mem;
    out.mmapped_bytes = s.mmapped_bytes;
    out.mmap_threshold = s.mmap_threshold;
    out.trim_threshold = s.trim_threshold;
    out.n_mmaps = static_cast<std::uint32_t>(s.n_mmaps);
    out.calls = memory_.calls_made();
    return out;
  }

 private:
  // Of a block in a thread arena; kNoArena for any other.
  heap::ArenaId arena_of(Address block) const {
    if (block == 0 || (memory_.load_word(block - 8) & (heap::kNonMain | heap::kMmapped)) != heap::kNonMain) return heap::kNoArena;
    return model_.arena_holding(block);
  }

  // pthread_create: the creator allocates the thread's dtv. pthread_join gives it back, as the stack is not libc's.
  void begin_thread(std::uint16_t thread) {
    model_.thread_created();
    dtv_[thread] = model_.calloc(0, 17, 16);
    alive_[thread] = true;
  }
  std::uint64_t end_thread(std::uint16_t thread) {
    if (thread == 0 || !alive_[thread]) return 0;
    model_.thread_exit(thread);
    alive_[thread] = false;
    model_.free(0, dtv_[thread]);
    return 0;
  }

  std::uint64_t touch(Address block, std::uint64_t offset, std::uint64_t length) {
    const std::uint64_t usable = block == 0 ? 0 : model_.usable_size(block);
    if (usable != 0) memory_.touch(block + offset % usable, std::min(length, usable - offset % usable));
    return 0;
  }

  std::uint64_t fact(const Op& op) {
    if (!image_) {
      std::unordered_map<Address, heap::BlockFacts> facts;
      for (std::size_t i = 0; i < kSlots; ++i) {
        if (slots_[i] != 0) facts[slots_[i]] = {requested_[i], static_cast<heap::OwnerId>(i % kOwners)};
      }
      image_ = heap::image_of(
          model_, memory_.current_break(),
          [&](Address user) -> std::optional<heap::BlockFacts> {  // of what no slot holds (a thread's dtv), nothing was asked for
            const auto found = facts.find(user);
            return found == facts.end() ? heap::BlockFacts{0, kOwners} : found->second;
          },
          [&](Address page) { return memory_.is_resident(page); });
      account_ = heap::account(*image_);
      check_pins(*image_, account_);
    }
    return fact_of(*image_, account_, op, slots_[op.slot % kSlots]);
  }

  Address allocate(heap::ThreadId thread, const Op& op) {
    switch (op.kind) {
      case kOpMalloc: return model_.malloc(thread, op.a);
      case kOpCalloc: return model_.calloc(thread, op.a, op.b);
      case kOpAlignedAlloc: return model_.aligned_alloc(thread, op.a, op.b);
      case kOpValloc: return model_.memalign(thread, kPageSize, op.a);
      case kOpPvalloc: return model_.pvalloc(thread, op.a);
      default: return model_.memalign(thread, op.a, op.b);
    }
  }

  std::uint64_t walk() const {
    const heap::HeapState s = model_.state();
    if (s.system_mem == 0 || s.heap_start == 0) return 0;
    std::uint64_t hash = 0;
    Address at = heap::align_up(s.heap_start, heap::kChunkAlignment);
    for (unsigned fences = 0; fences < 2;) {
      const std::uint64_t head = memory_.load_word(at + 8), size = head & ~heap::kFlagBits;
      hash = mix(mix(hash, at - memory_.start_break()), head);
      if (at == s.top) break;
      fences = size == heap::kChunkHeader ? fences + 1 : 0;
      at += size;
    }
    return hash;
  }

  template <class F>
  void for_each_heap(heap::ArenaId arena, F f) const {  // from the one that holds top to the first
    if (arena == heap::kNoArena) return;
    const std::uint64_t huge = model_.settings().explicit_huge_page, whole = huge != 0 ? 4 * huge : heap::kThreadHeapBytes;
    for (Address base = heap::align_down(model_.state(arena).top, whole); base != 0; base = memory_.load_word(base + 8))
      f(base, memory_.load_word(base + 16));
  }

  std::uint64_t walk_thread_arena(heap::ArenaId arena) const {
    std::uint64_t hash = 0;
    for_each_heap(arena, [&](Address base, std::uint64_t open) {
      const std::uint64_t state = memory_.load_word(base + 8) == 0 ? heap::kArenaStateBytes : 0;
      Address at = heap::align_up(base + header_ + state, heap::kChunkAlignment);
      hash = mix(hash, open);
      for (;;) {
        const std::uint64_t head = memory_.load_word(at + 8), size = head & ~heap::kFlagBits;
        hash = mix(mix(hash, at - base), head);
        if (at == model_.state(arena).top || size == 0) break;
        at += size;
      }
    });
    return hash;
  }

  std::uint64_t resident(Address block) const {
    if (!check_residency_) return 0;
    const Address base = model_.state().heap_start, end = memory_.current_break();
    std::uint64_t hash = 0;
    if (base >= memory_.start_break() && base < end) hash = memory_.hash_residency(hash, base, end);
    if (block != 0) {
      const heap::ChunkInfo chunk = model_.chunk_of(block);
      if (chunk.mmapped) hash = memory_.hash_residency(hash, chunk.address, chunk.address + chunk.size);
    }
    for_each_heap(arena_of(block), [&](Address at, std::uint64_t open) { hash = memory_.hash_residency(hash, at, at + open); });
    return hash;
  }

  ScriptMemory memory_;
  Model model_;
  std::uint64_t header_;  // of a thread heap
  heap::ArenaId own_arena_ = heap::kNoArena;
  bool check_residency_;
  std::vector<Address> slots_;
  std::vector<std::uint64_t> requested_;
  std::optional<heap::HeapImage> image_;  // as long as nothing changes
  heap::Accounting account_;              // of it
  std::array<bool, kThreads> alive_{};
  std::array<Address, kThreads> dtv_{};
};

std::optional<std::string> difference(const Answer& model, const Answer& libc) {
  std::string text;
  const auto field = [&text](const char* name, std::uint64_t ours, std::uint64_t theirs) {
    if (ours != theirs) text += fmt::format("{}{}: model {:#x}, libc {:#x}", text.empty() ? "" : "; ", name, ours, theirs);
  };
  field("result", model.result, libc.result);
  field("size word", model.head, libc.head);
  field("mapping offset", model.offset, libc.offset);
  field("brk", model.brk, libc.brk);
  field("top", model.top, libc.top);
  field("top size", model.top_size, libc.top_size);
  field("system_mem", model.system_mem, libc.system_mem);
  field("max_system_mem", model.max_system_mem, libc.max_system_mem);
  field("mmapped bytes", model.mmapped_bytes, libc.mmapped_bytes);
  field("mmap_threshold", model.mmap_threshold, libc.mmap_threshold);
  field("trim_threshold", model.trim_threshold, libc.trim_threshold);
  field("arena's top", model.arena_top, libc.arena_top);
  field("arena's top size", model.arena_top_size, libc.arena_top_size);
  field("arena's system_mem", model.arena_system_mem, libc.arena_system_mem);
  field("arena's max_system_mem", model.arena_max_system_mem, libc.arena_max_system_mem);
  field("n_mmaps", model.n_mmaps, libc.n_mmaps);
  field("system calls so far", model.calls, libc.calls);
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace

std::size_t current_op() { return op_now; }

std::optional<Difference> compare(const DriverRun& run, const std::vector<Op>& ops, const heap::Parameters& parameters) {
  ModelRun model(run, parameters);
  const std::span<const Answer> answers = run.answers();
  for (op_now = 0; op_now < ops.size(); ++op_now) {
    const Op& op = ops[op_now];
    try {
      const std::uint64_t result = model.perform(op);
      if (auto what = difference(model.answer(op, result), answers[op_now])) return Difference{op_now, std::move(*what)};
    } catch (const Mismatch& mismatch) {
      return Difference{op_now, mismatch.what};
    }
  }
  return std::nullopt;
}

}  // namespace faultline::diff
