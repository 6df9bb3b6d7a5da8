#include "heap_trace.h"

#include <fmt/format.h>

namespace faultline::diff {
namespace {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {  // splitmix64
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

 private:
  std::uint64_t state_;
};

class Generator {
 public:
  Generator(std::uint64_t seed, Style style, std::size_t op_count) : random_(seed), style_(style), op_count_(op_count) {
    static constexpr std::uint32_t kLive[] = {8, 40, 150, 600, 2500};
    slots_ = kLive[random_.below(5)];
    favourite_ = random_.between(1, 2000);
    few_sizes_ = random_.chance(4);
    static constexpr std::uint32_t kFew[] = {2, 3, 5, kThreads};
    threads_ = kFew[random_.below(4)];
    for (std::uint64_t& size : sizes_) size = random_.between(100, 1100);
  }

  std::vector<Op> run() {
    // A heap that does not start on a page. (Where the brk that would then align its end is refused, glibc aborts.)
    const bool refuses = style_ == Style::refusals || style_ == Style::arena_refusals;
    if (random_.chance(8)) add(kOpSbrk, 0, refuses ? 4096 * random_.between(1, 9) : random_.between(1, 9000));
    while (ops_.size() < op_count_) {
      if ((style_ == Style::storm || style_ == Style::arena_storm) && random_.chance(20)) storm();
      else step();
    }
    ops_.resize(op_count_);
    add(kOpWalk, 0);
    add(kOpResident, 0);
    return std::move(ops_);
  }

 private:
  void add(OpKind kind, std::uint32_t slot, std::uint64_t a = 0, std::uint64_t b = 0) {
    ops_.push_back({kind, static_cast<std::uint16_t>(slot), thread_, a, b});
  }
  bool threaded() const { return style_ >= Style::threads; }
  std::uint32_t slot() { return static_cast<std::uint32_t>(random_.below(slots_)); }

  std::uint64_t near(std::uint64_t value) { return value - 40 + random_.below(80); }
  std::uint64_t size_near_threshold() {
    static constexpr std::uint64_t kEdges[] = {1008, 1032, 4096, 8192, 65536, 131072, 131072, 262144, 1 << 20, 2 << 20};
    if (random_.chance(150)) return near(std::uint64_t{32} << 20);
    return near(kEdges[random_.below(10)]);
  }
  std::uint64_t size() {
    const std::uint64_t kind = random_.below(100);
    if (few_sizes_ && kind < 95) return sizes_[kind % std::size(sizes_)];  // many exact fits
    switch (style_) {
      case Style::tiny: return kind < 90 ? random_.below(200) : random_.below(1100);
      case Style::large: return kind < 30 ? random_.below(3000) : kind < 99 || random_.chance(2) ? random_.between(3000, 400000) : random_.below(40 << 20);
      case Style::thresholds: return kind < 60 ? size_near_threshold() : random_.below(2000);
      case Style::arena_storm: return kind < 50 ? random_.below(3000) : kind < 98 ? random_.between(3000, 300000) : random_.between(1 << 20, 9 << 20);
      case Style::arena_refusals:
      case Style::refusals: return kind < 60 ? random_.below(4000) : kind < 90 ? random_.below(200000) : size_near_threshold();
      default: break;
    }
    if (kind < 15) return favourite_;
    if (kind < 50) return random_.below(160);
    if (kind < 75) return random_.below(1100);
    if (kind < 92) return random_.between(1000, 20000);
    if (kind < 97) return random_.between(20000, 300000);
    return size_near_threshold();
  }
  std::uint64_t alignment() { return std::uint64_t{8} << random_.below(random_.chance(6) ? 14 : 8); }

  void step() {
    if (threaded() && random_.chance(4)) {
      if (random_.chance(60)) add(kOpThreadEnd, 0);
      thread_ = static_cast<std::uint16_t>(random_.below(threads_));
    }
    const std::uint64_t kind = random_.below(1000);
    const bool moves = style_ == Style::realloc_heavy, aligns = style_ == Style::memalign_heavy;
    if (kind < 2) return add(kOpWalk, slot());
    if (kind < 4) return add(kOpResident, slot());
    if (kind < 6) return add(kOpTrim, 0, random_.chance(3) ? random_.below(300000) : 0);
    if (kind < 7) return option();
    if (kind < 8 && random_.chance(4) && !threaded()) return impossible();
    if ((style_ == Style::foreign_sbrk || style_ == Style::arena_refusals) && kind < 20) {
      return add(kOpSbrk, 0, random_.chance(2) && style_ == Style::foreign_sbrk ? random_.between(1, 9000) : 4096 * random_.between(1, 20));
    }
    if ((style_ == Style::refusals || style_ == Style::arena_refusals) && kind < 25 && ops_.size() > 20) {
      return add(kOpRefuse, 0, random_.between(1, 15), random_.between(1, 12));
    }
    if (kind < (moves ? 400U : 60U)) return add(kOpRealloc, slot(), random_.chance(40) ? 0 : size());
    if (kind < (moves || aligns ? 450U : 85U)) return aligned();
    if (kind < (aligns ? 500U : 150U)) {
      const std::uint64_t count = random_.between(1, 8);
      const std::uint64_t bytes = size();  // a large one costs the two processes a fault a page: rarely
      return add(kOpCalloc, slot(), count, (bytes < 300000 || random_.chance(20) ? bytes : bytes % 300000) / count);
    }
    if (kind < 560) return add(kOpMalloc, slot(), size());
    if (kind < 580) return burst();
    add(kOpFree, slot());
  }

  void aligned() {
    const std::uint64_t n = random_.below(20);
    if (n == 0) return add(kOpValloc, slot(), size());
    if (n == 1) return add(kOpPvalloc, slot(), size());
    if (n < 8) return add(kOpPosixMemalign, slot(), alignment(), size());
    if (n < 12) return add(kOpAlignedAlloc, slot(), alignment(), size());
    add(kOpMemalign, slot(), random_.chance(4) ? random_.below(5000) : alignment(), size());
  }

  void option() {
    const auto set = [this](int parameter, std::int64_t value) {
      add(kOpMallopt, 0, static_cast<std::uint64_t>(std::int64_t{parameter}), static_cast<std::uint64_t>(value));
    };
    if (!random_.chance(3)) return;
    switch (random_.below(9)) {
      case 0: return set(1, random_.chance(4) ? static_cast<std::int64_t>(random_.below(300)) - 5 : static_cast<std::int64_t>(random_.below(161)));
      case 1: return set(-1, random_.chance(5) ? -1 : static_cast<std::int64_t>(random_.below(600000)));
      case 2: return set(-2, static_cast<std::int64_t>(random_.below(300000)));
      case 3: return set(-3, static_cast<std::int64_t>(random_.between(1000, 500000)));
      case 4: return set(-4, random_.chance(2) ? 65536 : static_cast<std::int64_t>(random_.below(20)));
      case 5: return set(-6, random_.chance(2) ? 0 : 85);
      case 6: return set(-7, 4);
      case 7: return set(-8, 2);
      default: return set(-static_cast<int>(random_.between(9, 14)), 3);
    }
  }

  void impossible() {  // requests nobody can fulfil
    const std::uint64_t half = std::uint64_t{1} << 63;
    switch (random_.below(5)) {
      case 0: return add(kOpMalloc, slot(), half + random_.below(2000) - 1000);
      case 1: return add(kOpCalloc, slot(), half / 3, random_.between(2, 9));
      case 2: return add(kOpRealloc, slot(), half - random_.below(3000));
      case 3: return add(kOpMalloc, slot(), (std::uint64_t{1} << 45) + random_.below(2000));
      default: return add(kOpMemalign, slot(), 4096, half - random_.below(9000));
    }
  }

  void burst() {  // a run of equal sizes: fills caches, fastbins and exact bins
    const std::uint64_t n = size(), length = random_.between(2, 30);
    const std::uint32_t first = slot();
    for (std::uint64_t i = 0; i < length; ++i) add(kOpMalloc, (first + static_cast<std::uint32_t>(i)) % slots_, n);
    if (random_.chance(2)) return;
    for (std::uint64_t i = 0; i < length; ++i) add(kOpFree, (first + static_cast<std::uint32_t>(i)) % slots_);
  }

  void storm() {  // blocks allocated together and freed together, again and again
    const std::uint64_t n = random_.chance(3) ? size_near_threshold() : random_.between(20000, 400000);
    const std::uint64_t blocks = random_.between(1, 8), rounds = random_.between(1, 12);
    const bool last_first = random_.chance(2);
    for (std::uint64_t round = 0; round < rounds; ++round) {
      for (std::uint64_t i = 0; i < blocks; ++i) add(kOpMalloc, kSlots - 1 - static_cast<std::uint32_t>(i), n);
      for (std::uint64_t i = 0; i < blocks; ++i) {
        add(kOpFree, kSlots - 1 - static_cast<std::uint32_t>(last_first ? blocks - 1 - i : i));
      }
    }
  }

  Random random_;
  Style style_;
  std::size_t op_count_;
  std::uint32_t slots_;
  std::uint32_t threads_;
  std::uint16_t thread_ = 0;
  std::uint64_t favourite_;
  bool few_sizes_;
  std::uint64_t sizes_[6]{};
  std::vector<Op> ops_;
};

std::string describe_call(const Op& op) {
  const auto s = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  switch (op.kind) {
    case kOpMalloc: return fmt::format("p[{}] = malloc({});", op.slot, op.a);
    case kOpCalloc: return fmt::format("p[{}] = calloc({}, {});", op.slot, op.a, op.b);
    case kOpRealloc: return fmt::format("p[{}] = realloc(p[{}], {});", op.slot, op.slot, op.a);
    case kOpFree: return fmt::format("free(p[{}]);", op.slot);
    case kOpMemalign: return fmt::format("p[{}] = memalign({}, {});", op.slot, op.a, op.b);
    case kOpPosixMemalign: return fmt::format("posix_memalign(&p[{}], {}, {});", op.slot, op.a, op.b);
    case kOpAlignedAlloc: return fmt::format("p[{}] = aligned_alloc({}, {});", op.slot, op.a, op.b);
    case kOpValloc: return fmt::format("p[{}] = valloc({});", op.slot, op.a);
    case kOpPvalloc: return fmt::format("p[{}] = pvalloc({});", op.slot, op.a);
    case kOpTrim: return fmt::format("malloc_trim({});", op.a);
    case kOpMallopt: return fmt::format("mallopt({}, {});", s(op.a), s(op.b));
    case kOpSbrk: return fmt::format("sbrk({});", s(op.a));
    case kOpRefuse: return fmt::format("/* the next {} calls of mask {} fail */", op.b, op.a);
    case kOpWalk: return "/* walk the heap */";
    case kOpThreadEnd: return "pthread_exit(NULL);";
    case kOpTouch: return fmt::format("touch(p[{}], {}, {});", op.slot, op.a, op.b);
    case kOpAccount: return fmt::format("/* fact {} of arena {} */", op.a, op.b);
    default: return fmt::format("/* resident pages, p[{}] */", op.slot);
  }
}

}  // namespace

const char* name_of(Style style) {
  static constexpr const char* kNames[] = {"tiny",           "mixed",        "large",   "thresholds", "storm", "realloc_heavy",
                                           "memalign_heavy", "foreign_sbrk", "refusals", "threads", "arenas", "arena_storm", "arena_refusals", "directed"};
  return kNames[static_cast<int>(style)];
}

std::vector<Op> make_trace(std::uint64_t seed, Style style, std::size_t op_count) {
  return Generator(seed, style, op_count).run();
}

std::string describe(const Op& op) {
  const std::string line = describe_call(op);
  return op.thread == 0 ? line : fmt::format("T{}: {}", op.thread, line);
}

}  // namespace faultline::diff
