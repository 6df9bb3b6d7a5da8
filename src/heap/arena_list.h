// Which arenas there are, and which one a thread gets: a free one, a new one while there are few, else the next in turn.
// glibc malloc/arena.c: arena_get2, get_free_list, reused_arena, arena_get_retry, __malloc_arena_thread_freeres.
#pragma once

#include <array>
#include <atomic>

#include "heap/arena.h"

namespace faultline::heap {

inline constexpr std::size_t kMostArenas = 4096;  // glibc has no limit of its own; from here on arenas are shared

// Host: what surrounds the allocator. It makes the arenas' objects, knows whether the process has had a second thread,
// and brings the mutex that guards an arena. This one is for a model, where threads take turns.
struct ModelHost {
  struct Mutex {
    void lock() {}
    void unlock() {}
    bool try_lock() { return true; }
  };
  bool threaded = false;  // pthread_create was called; there is no way back
  bool single_threaded() const { return !threaded; }
  template <class T, class... Arguments>
  T* make(Arguments&&... arguments) { return new T(std::forward<Arguments>(arguments)...); }
  template <class T>
  void destroy(T* object) { delete object; }
};

template <MemoryProvider Memory, class Host>
class ArenaList {
 public:
  struct Entry {
    Entry(Common<Memory>& common, ArenaId id) : arena(common, id) {}
    Entry(Common<Memory>& common, const Arena<Memory>& parent) : arena(common, parent) {}

    Arena<Memory> arena;
    typename Host::Mutex mutex = {};
    std::uint32_t attached_threads = 0;
    ArenaId next_free = kNoArena;
  };

  ArenaList(Common<Memory>& common, Host& host, const Parameters& parameters) : common_(common), host_(host) {
    const int counted = parameters.version.counts_all_cpus || parameters.cpus_allowed == 0 ? parameters.cpus_online : parameters.cpus_allowed;
    cpus_ = counted > 0 ? static_cast<std::uint64_t>(counted) : 0;
    entries_[kMainArena] = host_.template make<Entry>(common_, kMainArena);
  }
  // After fork only the thread that forked is there: every other arena is free. glibc: __malloc_fork_unlock_child.
  ArenaList(Common<Memory>& common, Host& host, const ArenaList& parent, ArenaId own)
      : common_(common), host_(host), cpus_(parent.cpus_), linked_(parent.size()), counted_(parent.counted_),
        limit_(parent.limit_), next_to_use_(parent.next_to_use_) {
    for (ArenaId id = 0; id < size(); ++id) entries_[id] = host_.template make<Entry>(common_, parent.entries_[id]->arena);
    only_thread(own);
  }
  ~ArenaList() {
    for (ArenaId id = 0; id < size(); ++id) host_.destroy(entries_[id]);
  }
  ArenaList(const ArenaList&) = delete;
  ArenaList& operator=(const ArenaList&) = delete;

  void assign(const ArenaList& saved) {  // of the same memory
    for (ArenaId id = saved.size(); id < size(); ++id) {
      host_.destroy(entries_[id]);
      entries_[id] = nullptr;
    }
    for (ArenaId id = 0; id < saved.size(); ++id) {
      if (id >= size()) entries_[id] = host_.template make<Entry>(common_, id);
      entries_[id]->arena.assign(saved.entries_[id]->arena);
      entries_[id]->attached_threads = saved.entries_[id]->attached_threads;
      entries_[id]->next_free = saved.entries_[id]->next_free;
    }
    linked_.store(saved.size(), std::memory_order_release);
    counted_ = saved.counted_;
    limit_ = saved.limit_;
    free_ = saved.free_;
    next_to_use_ = saved.next_to_use_;
  }

  std::uint32_t size() const { return linked_.load(std::memory_order_acquire); }
  Entry& at(ArenaId id) { return *entries_[id]; }
  const Entry& at(ArenaId id) const { return *entries_[id]; }
  Entry& main() { return *entries_[kMainArena]; }
  const Entry& main() const { return *entries_[kMainArena]; }
  // The order malloc_trim goes in: main, the newest, ... the oldest, and round.
  ArenaId next(ArenaId id) const { return id == kMainArena ? size() - 1 : id - 1; }

  // The caller's thread keeps its arena in `own`. All of these return the arena locked, or nullptr when there is none.
  Entry* acquire(ArenaId& own, std::uint64_t request) {
    if (own == kNoArena) [[unlikely]] return choose(own, request, kNoArena);
    entries_[own]->mutex.lock();
    return entries_[own];
  }
  // Where the first try failed: the main arena once, or from the main arena another one for good.
  Entry* retry(ArenaId& own, Entry& failed, std::uint64_t request) {
    const bool was_main = &failed == entries_[kMainArena];
    failed.mutex.unlock();
    if (was_main) return choose(own, request, kMainArena);
    main().mutex.lock();
    return entries_[kMainArena];
  }
  void attach(ArenaId& own, ArenaId to) {  // as the recording has it, whatever choose() would do
    list_.lock();
    remove_free(to);
    move_thread(own, to);
    list_.unlock();
  }
  void thread_exit(ArenaId& own) {
    if (own == kNoArena) return;
    list_.lock();
    Entry& entry = at(own);
    FL_ASSERT(entry.attached_threads > 0);
    if (--entry.attached_threads == 0) push_free(own);
    own = kNoArena;
    list_.unlock();
  }

  // While a process with threads forks, nobody is inside an arena: the child finds all of them in order. The mutex of the
  // list comes last, as in reuse(), which may find out about a new arena.
  void lock_all() {
    for (ArenaId locked = 0;;) {
      for (const ArenaId known = size(); locked < known; ++locked) at(locked).mutex.lock();
      list_.lock();
      if (locked == size()) return;
      list_.unlock();
    }
  }
  void unlock_all() {
    list_.unlock();
    for (ArenaId id = 0; id < size(); ++id) at(id).mutex.unlock();
  }
  // In the child: its one thread has the arena `own`.
  void only_thread(ArenaId own) {
    free_ = kNoArena;
    ArenaId id = kMainArena;
    do {
      at(id).attached_threads = id == own ? 1 : 0;
      if (id != own) push_free(id);
      id = next(id);
    } while (id != kMainArena);
  }

 private:
  Entry* choose(ArenaId& own, std::uint64_t request, ArenaId avoid) {
    list_.lock();
    Entry* found = nullptr;
    if (free_ != kNoArena) {
      const ArenaId id = free_;
      free_ = at(id).next_free;
      move_thread(own, id);
      found = &at(id);
    } else if (may_create()) {
      found = create(own, request);
    } else {
      list_.unlock();
      return reuse(own, avoid);
    }
    list_.unlock();
    if (found != nullptr) found->mutex.lock();
    return found;
  }

  // The limit is found once: arena_max if it is set, else from the first time on that there are more than arena_test.
  bool may_create() {
    const Settings& settings = common_.settings;
    note_in_box<Memory>(settings, [](OutcomeBox& box) { box.arena_limit_asked(); });
    if (limit_ == 0) {
      if (settings.arena_max != 0) limit_ = settings.arena_max;
      else if (counted_ > settings.arena_test) limit_ = cpus_ >= 1 ? cpus_ * 8 : 16;
    }
    return counted_ <= limit_ - 1 && size() < kMostArenas;  // no limit yet: 0 - 1 is larger than any number
  }

  Entry* create(ArenaId& own, std::uint64_t request) {
    const ArenaId id = size();
    Entry* const entry = host_.template make<Entry>(common_, id);
    if (entry == nullptr) return nullptr;
    struct Unopened {  // open() may end in an exception: a memory that answers as recorded has no other answer
      Host& host;
      Entry* entry;
      ~Unopened() {
        if (entry != nullptr) host.destroy(entry);
      }
    } unopened{host_, entry};
    if (!entry->arena.open(request)) return nullptr;
    unopened.entry = nullptr;
    entries_[id] = entry;
    ++counted_;
    linked_.store(id + 1, std::memory_order_release);
    move_thread(own, id);
    return entry;
  }

  Entry* reuse(ArenaId& own, ArenaId avoid) {
    list_.lock();
    const ArenaId first = next_to_use_;
    list_.unlock();
    ArenaId id = first;
    bool locked = false;
    do {
      locked = at(id).mutex.try_lock();
      if (locked) break;
      id = next(id);
    } while (id != first);
    if (!locked) {
      if (id == avoid) id = next(id);
      at(id).mutex.lock();
    }
    list_.lock();
    remove_free(id);
    move_thread(own, id);
    next_to_use_ = next(id);
    list_.unlock();
    return &at(id);
  }

  void move_thread(ArenaId& own, ArenaId to) {
    if (own != kNoArena) --at(own).attached_threads;  // not to the free list, even if it was the last
    ++at(to).attached_threads;
    own = to;
  }
  void push_free(ArenaId id) {
    at(id).next_free = free_;
    free_ = id;
  }
  void remove_free(ArenaId id) {
    for (ArenaId* link = &free_; *link != kNoArena; link = &at(*link).next_free) {
      if (*link != id) continue;
      *link = at(id).next_free;
      return;
    }
  }

  Common<Memory>& common_;
  Host& host_;
  typename Host::Mutex list_ = {};
  std::uint64_t cpus_ = 0;
  std::array<Entry*, kMostArenas> entries_{};
  std::atomic<std::uint32_t> linked_ = 1;  // entries there are; readers need no lock
  std::uint64_t counted_ = 1;  // glibc's narenas
  std::uint64_t limit_ = 0;    // 0: not known yet
  ArenaId free_ = kNoArena, next_to_use_ = kMainArena;
};

}  // namespace faultline::heap
