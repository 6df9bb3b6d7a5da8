#include "record/shim/block_watch.h"

#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"

namespace faultline::shim {

namespace {

constexpr std::uint64_t kPage = 4096, kLine = 64, kLines = kPage / kLine;
constexpr std::uint64_t kMostPages = std::uint64_t{1} << (32 - wire::kContentBits);  // a run's length fits in 32 bits
constexpr std::uint64_t kBusy = 1;  // instead of a pointer: somebody works on the entry

// One watched block. Of a block of more pages than there is room for, pages at equal distances are compared.
struct Watched {
  std::atomic<std::uint64_t> pointer;  // 0: free
  std::uint64_t chunk_bytes;
  std::uint64_t age;
  std::uint32_t step;
};

template <unsigned kSets, unsigned kPages>
struct Table {
  static constexpr unsigned kWays = 4, kCompared = kPages;
  Watched entries[kSets * kWays];
  std::uint8_t hashes[kSets * kWays][kPages][kLines];

  unsigned set_of(std::uint64_t pointer) const { return static_cast<unsigned>((pointer >> 4) * 0x9e3779b97f4a7c15u >> 40) % kSets * kWays; }
};

struct Memory {
  Table<48, 16> small;
  Table<16, 64> large;
  std::uint32_t seen[1024];  // blocks of a site, for sampling
  std::uint64_t begin_ticks;
  std::atomic<std::uint64_t> spent_ticks, clock;
};
Memory* memory = nullptr;

std::uint64_t chunk_bytes_of(std::uint64_t pointer) { return load_word(pointer - 8) & ~std::uint64_t{7}; }
bool is_mmapped(std::uint64_t pointer) { return (load_word(pointer - 8) & 2) != 0; }

// What the program may use: up to the next chunk's size word, or the end of the mapping.
struct Span {
  std::uint64_t begin, end;
  std::uint64_t first_page() const { return begin & ~(kPage - 1); }
  std::uint64_t pages() const { return ((end + kPage - 1) & ~(kPage - 1)) / kPage - begin / kPage; }
};
Span span_of(std::uint64_t pointer) { return {pointer, pointer - 16 + chunk_bytes_of(pointer) + (is_mmapped(pointer) ? 0 : 8)}; }

// rt_sigprocmask(2) copies the set before it refuses `how`: kernel/signal.c, rt_sigprocmask. Says whether a page can be read
// (a program may take that from its own memory) without a signal.
bool readable(std::uint64_t address) {
  constexpr long kFault = -14;
  return raw_syscall(SYS_rt_sigprocmask, -1, static_cast<long>(address & ~std::uint64_t{7}), 0, 8) != kFault;
}

// 0 if and only if all is zero.
std::uint8_t hash_of(std::uint64_t begin, std::uint64_t end) {
  constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15u;
  std::uint64_t sum = 0, any = 0, key = kOdd;
  for (std::uint64_t at = begin; at < end; at += 16) {  // blocks begin and end on 16 bytes, but for a last word
    const std::uint64_t one = load_word(at), other = at + 8 < end ? load_word(at + 8) : 0;
    sum += (one + (other << 29 | other >> 35)) * key;
    key += 2 * kOdd;
    any |= one | other;
  }
  if (any == 0) return 0;
  const auto hash = static_cast<std::uint8_t>((sum ^ sum >> 29) * 0xd6e8feb86659fd93u >> 56);
  return hash == 0 ? 1 : hash;
}

void hash_page(const Span& span, std::uint64_t page, std::uint8_t (&out)[kLines]) {
  for (unsigned i = 0; i < kLines; ++i) {
    const std::uint64_t from = page + i * kLine, to = from + kLine;
    const std::uint64_t begin = from > span.begin ? from : span.begin, end = to < span.end ? to : span.end;
    out[i] = begin < end ? hash_of(begin, end) : std::uint8_t{0};
  }
}

// Residency of the compared pages into ring.residency. False if the kernel does not say.
bool ask_residency(ThreadRing& ring, const Span& span, std::uint64_t pages, std::uint32_t step) {
  if (step == 1) return !failed(raw_mincore(span.first_page(), pages * kPage, ring.residency));
  for (std::uint64_t i = 0; i * step < pages; ++i) {
    if (failed(raw_mincore(span.first_page() + i * step * kPage, kPage, ring.residency + i))) return false;
  }
  return true;
}

// The first blocks of a site, then every 16th, later every 256th; and never more than a part of the run's time. The very first
// tell most and may take twice that.
bool wanted(std::uint64_t site, std::uint64_t bytes) {
  constexpr std::uint64_t kAtFirstTicks = 8'000'000;  // three milliseconds or so
  constexpr unsigned kShareShift = 7;                 // later a 128th
  const auto size_class = static_cast<std::uint64_t>(63 - __builtin_clzll(bytes));
  std::uint32_t& seen = memory->seen[(site ^ size_class << 58) * 0x9e3779b97f4a7c15u >> 54];
  const std::uint32_t n = __atomic_load_n(&seen, __ATOMIC_RELAXED);
  __atomic_store_n(&seen, n + 1, __ATOMIC_RELAXED);  // threads may lose a count: it is for sampling
  if (n >= 48 && n % (n < 4096 ? 16 : 256) != 0) return false;
  const std::uint64_t elapsed = ticks() - memory->begin_ticks;
  const std::uint64_t allowed = kAtFirstTicks + (elapsed >> kShareShift);
  return memory->spent_ticks.load(std::memory_order_relaxed) < (n < 8 ? 2 * allowed : allowed);
}

template <class T>
Watched* take(T& table, std::uint64_t pointer) {
  const unsigned set = table.set_of(pointer);
  for (unsigned i = 0; i < T::kWays; ++i) {
    Watched& entry = table.entries[set + i];
    std::uint64_t holds = pointer;
    if (entry.pointer.load(std::memory_order_relaxed) == pointer && entry.pointer.compare_exchange_strong(holds, kBusy, std::memory_order_acquire)) return &entry;
  }
  return nullptr;
}

// A free entry, else the oldest of the set.
template <class T>
Watched* make_room(T& table, std::uint64_t pointer) {
  const unsigned set = table.set_of(pointer);
  Watched* best = nullptr;
  std::uint64_t held = 0;
  for (unsigned i = 0; i < T::kWays; ++i) {
    Watched& entry = table.entries[set + i];
    const std::uint64_t holds = entry.pointer.load(std::memory_order_relaxed);
    if (holds == kBusy) continue;
    if (best == nullptr || holds == 0 || (held != 0 && entry.age < best->age)) {
      best = &entry;
      held = holds;
    }
    if (holds == 0) break;
  }
  return best != nullptr && best->pointer.compare_exchange_strong(held, kBusy, std::memory_order_acquire) ? best : nullptr;
}

template <class T>
void watch_in(T& table, ThreadRing& ring, std::uint64_t pointer, std::uint64_t site, bool fresh) {
  if (Watched* old = take(table, pointer)) old->pointer.store(0, std::memory_order_release);  // its end was not seen
  if (!wanted(site, chunk_bytes_of(pointer))) return;
  const Span span = span_of(pointer);
  const std::uint64_t pages = span.pages();
  if (pages >= kMostPages) return;
  const auto step = static_cast<std::uint32_t>((pages + T::kCompared - 1) / T::kCompared);
  const bool zero = fresh && is_mmapped(pointer);
  if (!zero && !ask_residency(ring, span, pages, step)) return;
  Watched* entry = make_room(table, pointer);
  if (entry == nullptr) return;
  auto& hashes = table.hashes[entry - table.entries];
  bool all_readable = true;
  for (std::uint64_t i = 0; i * step < pages && all_readable; ++i) {
    const std::uint64_t page = span.first_page() + i * step * kPage;
    const bool resident = !zero && (ring.residency[i] & 1) != 0;
    if (resident && !readable(page)) all_readable = false;
    else if (resident) hash_page(span, page, hashes[i]);
    else __builtin_memset(hashes[i], 0, sizeof hashes[i]);  // it will come in as zeroes
  }
  entry->chunk_bytes = chunk_bytes_of(pointer);
  entry->age = memory->clock.fetch_add(1, std::memory_order_relaxed);
  entry->step = step;
  entry->pointer.store(all_readable ? pointer : 0, std::memory_order_release);
  // Counted, not measured: a clock would count the time of others on a busy machine. Comparing will cost the same again.
  constexpr std::uint64_t kBlockTicks = 2000, kPageTicks = 1500;
  memory->spent_ticks.fetch_add(2 * (kBlockTicks + (pages + step - 1) / step * kPageTicks), std::memory_order_relaxed);
}

std::uint64_t compare_page(const Span& span, std::uint64_t page, bool resident, const std::uint8_t (&was)[kLines]) {
  if (!resident) return wire::kContentCompared;  // nobody came
  if (!readable(page)) return 0;
  std::uint8_t now[kLines];
  hash_page(span, page, now);
  std::uint64_t first = kLines, last = 0;
  unsigned cleared = 0, same = 0, any = 0;
  for (unsigned i = 0; i < kLines; ++i) {
    any |= now[i];
    if (now[i] == was[i]) {
      same += was[i] != 0;
      continue;
    }
    cleared += now[i] == 0;
    if (first == kLines) first = i;
    last = i;
  }
  std::uint64_t content = wire::kContentCompared | (any == 0 ? wire::kContentZero : 0) | (cleared > same ? wire::kContentCleared : 0);
  if (first != kLines) content |= wire::kContentChanged | first | last << wire::kContentLastLineShift;
  return content;
}

// The entry is busy, and free afterwards.
template <class T>
void write_contents(T& table, Watched& entry, ThreadRing& ring, std::uint64_t pointer, bool at_exit) {
  const auto& hashes = table.hashes[&entry - table.entries];
  const Span span = span_of(pointer);
  const std::uint64_t pages = span.pages();
  const std::uint32_t step = entry.step;
  if (entry.chunk_bytes != chunk_bytes_of(pointer) || !ask_residency(ring, span, pages, step)) return;
  constexpr std::uint32_t kContent = (1u << wire::kContentBits) - 1;
  unsigned runs = 0;
  const auto append = [&](std::uint64_t content, std::uint64_t count) {
    const bool joins = runs > 0 && (ring.runs[runs - 1] & kContent) == content;
    if (!joins) ring.runs[runs++] = static_cast<std::uint32_t>(content);
    ring.runs[runs - 1] += static_cast<std::uint32_t>(count << wire::kContentBits);
  };
  for (std::uint64_t i = 0; i * step < pages; ++i) {
    const std::uint64_t page = span.first_page() + i * step * kPage;
    append(compare_page(span, page, (ring.residency[i] & 1) != 0, hashes[i]), 1);
    const std::uint64_t gap = pages - i * step < step ? pages - i * step : step;
    if (gap > 1) append(0, gap - 1);
  }
  std::uint8_t* out = reserve(ring, 32 + std::size_t{runs} * 5);
  if (out == nullptr) return;
  *out++ = static_cast<std::uint8_t>(wire::RecordKind::contents);
  out = wire::put_varint(out, pointer);
  out = wire::put_varint(out, at_exit ? wire::kContentsAtExit : 0);
  out = wire::put_varint(out, runs);
  for (unsigned i = 0; i < runs; ++i) out = wire::put_varint(out, ring.runs[i]);
  commit(ring, out);
}

template <class T>
void record_from(T& table, ThreadRing& ring, std::uint64_t pointer) {
  Watched* entry = take(table, pointer);
  if (entry == nullptr) return;
  write_contents(table, *entry, ring, pointer, false);
  entry->pointer.store(0, std::memory_order_release);
}

template <class T>
void record_all(T& table, ThreadRing& ring) {
  for (Watched& entry : table.entries) {
    std::uint64_t pointer = entry.pointer.load(std::memory_order_relaxed);
    if (pointer <= kBusy || !entry.pointer.compare_exchange_strong(pointer, kBusy, std::memory_order_acquire)) continue;
    if (readable(pointer - 8)) write_contents(table, entry, ring, pointer, true);
    entry.pointer.store(pointer, std::memory_order_release);  // it may be freed yet
  }
}

bool is_small(std::uint64_t pointer) { return span_of(pointer).pages() <= decltype(Memory::small)::kCompared; }

}  // namespace

void make_block_watch() {
  constexpr std::size_t kBytes = (sizeof(Memory) + kPage - 1) & ~(kPage - 1);
  auto* made = static_cast<Memory*>(map_private(kBytes));
  if (made == nullptr) return;
  populate(made, kBytes);
  made->begin_ticks = ticks();
  memory = made;
}

void watch_block(ThreadRing& ring, std::uint64_t pointer, std::uint64_t site, bool fresh) {
  if (memory == nullptr) return;
  if (is_small(pointer)) watch_in(memory->small, ring, pointer, site, fresh);
  else watch_in(memory->large, ring, pointer, site, fresh);
}

void record_contents(ThreadRing& ring, std::uint64_t pointer) {
  if (memory == nullptr) return;
  if (is_small(pointer)) record_from(memory->small, ring, pointer);
  else record_from(memory->large, ring, pointer);
}

void record_contents_at_exit(ThreadRing& ring) {
  if (memory == nullptr) return;
  record_all(memory->small, ring);
  record_all(memory->large, ring);
}

}  // namespace faultline::shim
