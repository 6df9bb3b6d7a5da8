// Page replacement written a second time, slowly, from the papers: plain vectors searched from end to end, newest first. What the
// policies of src/mm/reclaim/policies are compared with, page by page.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace faultline::naive {

using Pages = std::vector<int>;
inline bool has(const Pages& pages, int page) { return std::find(pages.begin(), pages.end(), page) != pages.end(); }
inline bool drop(Pages& pages, int page) {
  const auto at = std::find(pages.begin(), pages.end(), page);
  if (at == pages.end()) return false;
  pages.erase(at);
  return true;
}
inline void push(Pages& pages, int page) { pages.insert(pages.begin(), page); }
inline int pop(Pages& pages) {
  const int page = pages.back();
  pages.pop_back();
  return page;
}

class Memory {
 public:
  explicit Memory(std::size_t frames) : capacity(frames) {}
  virtual ~Memory() = default;
  // One reference; next is its next use, a large number for never. Whether it hit.
  bool touch(int page, long now, long next) {
    const bool hit = resident.count(page) != 0;
    if (hit) {
      accessed.insert(page);
      on_hit(page, now, next);
    } else {
      on_miss(page, now, next);
      resident.insert(page);
    }
    after(page, now, next);
    return hit;
  }
  void take_away(int page) {
    forget(page);
    resident.erase(page);
    accessed.erase(page);
  }

  const std::size_t capacity;
  std::set<int> resident, accessed;

 protected:
  virtual void on_hit(int, long, long) {}
  virtual void on_miss(int page, long now, long next) = 0;
  virtual void after(int, long, long) {}
  virtual void forget(int page) = 0;
  bool full() const { return resident.size() >= capacity; }
  void evict(int page) {
    resident.erase(page);
    accessed.erase(page);
  }
  bool test_and_clear(int page) { return accessed.erase(page) != 0; }
};

class Fifo : public Memory {
 public:
  using Memory::Memory;
  void on_miss(int page, long, long) override {
    if (full()) evict(pop(queue));
    push(queue, page);
  }
  void forget(int page) override { drop(queue, page); }
  Pages queue;
};

class Lru final : public Fifo {
 public:
  using Fifo::Fifo;
  void on_hit(int page, long, long) override {
    drop(queue, page);
    push(queue, page);
  }
};

// A register of the last k - 1 answers of the usage bit, and the bit itself: out when all are zero.
class Clock final : public Memory {
 public:
  Clock(std::size_t c, unsigned k) : Memory(c), bits(k) {}
  void on_miss(int page, long, long) override {
    while (full()) {
      const int at = ring.front();
      ring.erase(ring.begin());
      const bool used = test_and_clear(at);
      std::vector<bool>& history = seen[at];
      const bool out = !used && std::none_of(history.begin(), history.end(), [](bool bit) { return bit; });
      history.insert(history.begin(), used);
      if (history.size() > bits - 1) history.resize(bits - 1);
      if (out) {
        evict(at);
        seen.erase(at);
      } else {
        ring.push_back(at);
      }
    }
    ring.push_back(page);
  }
  void forget(int page) override {
    drop(ring, page);
    seen.erase(page);
  }
  unsigned bits;
  Pages ring;  // from the hand on
  std::map<int, std::vector<bool>> seen;
};

class Sieve final : public Memory {
 public:
  using Memory::Memory;
  void on_miss(int page, long, long) override {
    if (full()) {
      // hand: how many pages are older than the one it is at
      while (true) {
        if (hand >= queue.size()) hand = 0;
        const std::size_t at = queue.size() - 1 - hand;
        if (!test_and_clear(queue[at])) {
          evict(queue[at]);
          queue.erase(queue.begin() + static_cast<long>(at));  // the hand is now at the next newer one
          break;
        }
        ++hand;
      }
    }
    push(queue, page);
    // A hand that had gone past the newest page starts again at the oldest, not at this one.
    if (hand == queue.size() - 1) hand = 0;
  }
  void forget(int page) override {
    const auto at = std::find(queue.begin(), queue.end(), page);
    if (at == queue.end()) return;
    const auto older = static_cast<std::size_t>(queue.end() - at) - 1;
    queue.erase(at);
    if (older < hand) --hand;
    else if (hand == queue.size()) hand = 0;
  }
  Pages queue;
  std::size_t hand = 0;
};

class TwoQueue final : public Memory {
 public:
  explicit TwoQueue(std::size_t c) : Memory(c), in_most(c / 4), out_most(c / 2) {}
  void on_hit(int page, long, long) override {
    if (drop(main, page)) push(main, page);
  }
  void on_miss(int page, long, long) override {
    const bool known = drop(out, page);
    if (full()) {
      if (in.size() > in_most || main.empty()) {
        const int victim = pop(in);
        evict(victim);
        push(out, victim);
        if (out.size() > out_most) out.pop_back();
      } else {
        evict(pop(main));
      }
    }
    push(known ? main : in, page);
  }
  void forget(int page) override {
    for (Pages* list : {&in, &out, &main}) drop(*list, page);
  }
  std::size_t in_most, out_most;
  Pages in, out, main;
};

class Slru final : public Memory {
 public:
  Slru(std::size_t c, std::size_t protected_most) : Memory(c), most(protected_most) {}
  void on_hit(int page, long, long) override {
    if (drop(safe, page)) return push(safe, page);
    drop(trial, page);
    if (most == 0) return push(trial, page);
    push(safe, page);
    if (safe.size() > most) push(trial, pop(safe));
  }
  void on_miss(int page, long, long) override {
    if (full()) evict(trial.empty() ? pop(safe) : pop(trial));
    push(trial, page);
  }
  void forget(int page) override {
    drop(trial, page);
    drop(safe, page);
  }
  std::size_t most;
  Pages trial, safe;
};

class Lfu final : public Memory {
 public:
  using Memory::Memory;
  void on_hit(int page, long now, long) override {
    ++uses[page].first;
    uses[page].second = now;
  }
  void on_miss(int page, long now, long) override {
    if (full()) {
      const auto least = std::min_element(uses.begin(), uses.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      evict(least->first);
      uses.erase(least);
    }
    uses[page] = {1, now};
  }
  void forget(int page) override { uses.erase(page); }
  std::map<int, std::pair<long, long>> uses;  // count, last reference
};

// Figure 4 of the ARC paper, line by line.
class Arc final : public Memory {
 public:
  using Memory::Memory;
  void on_hit(int x, long, long) override {
    drop(t1, x);
    drop(t2, x);
    push(t2, x);
  }
  void on_miss(int x, long, long) override {
    const double c = static_cast<double>(capacity);
    if (has(b1, x)) {
      p = std::min(c, p + (b1.size() >= b2.size() ? 1.0 : static_cast<double>(b2.size()) / static_cast<double>(b1.size())));
      drop(b1, x);
      replace(false);
      return push(t2, x);
    }
    if (has(b2, x)) {
      p = std::max(0.0, p - (b2.size() >= b1.size() ? 1.0 : static_cast<double>(b1.size()) / static_cast<double>(b2.size())));
      drop(b2, x);
      replace(true);
      return push(t2, x);
    }
    if (t1.size() + b1.size() >= capacity) {
      if (t1.size() < capacity) {
        b1.pop_back();
        replace(false);
      } else {
        evict(pop(t1));
      }
    } else {
      if (t1.size() + t2.size() + b1.size() + b2.size() >= 2 * capacity) b2.pop_back();
      replace(false);
    }
    push(t1, x);
  }
  void replace(bool in_b2) {
    if (!full()) return;  // after pages were given back
    const double size = static_cast<double>(t1.size());
    if (!t1.empty() && ((in_b2 && size == p) || size > p || t2.empty())) {
      push(b1, pop(t1));
      evict(b1.front());
    } else {
      push(b2, pop(t2));
      evict(b2.front());
    }
  }
  void forget(int page) override {
    for (Pages* list : {&t1, &t2, &b1, &b2}) drop(*list, page);
  }
  double p = 0;
  Pages t1, t2, b1, b2;
};

// Figure 2 of the CAR paper.
class Car final : public Memory {
 public:
  using Memory::Memory;
  void on_miss(int x, long, long) override {
    const bool known = has(b1, x) || has(b2, x);
    if (full()) replace();
    if (!known) {
      if (t1.size() + b1.size() >= capacity) {
        if (!b1.empty()) b1.pop_back();
      } else if (t1.size() + t2.size() + b1.size() + b2.size() >= 2 * capacity) {
        b2.pop_back();
      }
      return push(t1, x);
    }
    const double one = static_cast<double>(b1.size()), two = static_cast<double>(b2.size());
    if (has(b1, x)) p = std::min(p + std::max(1.0, two / one), static_cast<double>(capacity));
    else p = std::max(p - std::max(1.0, one / two), 0.0);
    drop(b1, x);
    drop(b2, x);
    push(t2, x);
  }
  void replace() {
    for (;;) {
      const bool first = static_cast<double>(t1.size()) >= std::max(1.0, p) || t2.empty();
      const int page = pop(first ? t1 : t2);
      if (!test_and_clear(page)) {
        push(first ? b1 : b2, page);
        return evict(page);
      }
      push(t2, page);
    }
  }
  void forget(int page) override {
    for (Pages* list : {&t1, &t2, &b1, &b2}) drop(*list, page);
  }
  double p = 0;
  Pages t1, t2, b1, b2;  // clocks from behind the hand: the hand is at the back
};

// Algorithm 1 of the S3-FIFO paper, one frame at a time.
class S3Fifo final : public Memory {
 public:
  explicit S3Fifo(std::size_t c) : Memory(c), small_most(std::max<std::size_t>(1, c / 10)), main_most(c - std::min(c, small_most)) {}
  void on_hit(int page, long, long) override { freq[page] = std::min(freq[page] + 1, 3); }
  void on_miss(int page, long, long) override {
    const bool known = drop(ghost, page);
    while (full()) {
      if (small.size() >= small_most || main.empty()) evict_small();
      else evict_main();
    }
    push(known ? main : small, page);
    freq[page] = 0;
  }
  void evict_small() {
    while (!small.empty()) {
      const int t = pop(small);
      if (freq[t] > 1) {
        push(main, t);
        freq[t] = 0;
        if (main.size() > main_most) return evict_main();
      } else {
        push(ghost, t);
        if (ghost.size() > main_most) ghost.pop_back();
        return evict(t);
      }
    }
    evict_main();
  }
  void evict_main() {
    for (;;) {
      const int t = pop(main);
      if (freq[t] == 0) return evict(t);
      push(main, t);
      --freq[t];
    }
  }
  void forget(int page) override {
    for (Pages* list : {&small, &main, &ghost}) drop(*list, page);
  }
  std::size_t small_most, main_most;
  Pages small, main, ghost;
  std::map<int, int> freq;
};

class Lirs final : public Memory {
 public:
  explicit Lirs(std::size_t c) : Memory(c), lir_most(c - std::min(c, std::max<std::size_t>(1, c / 100))) {}
  void on_hit(int page, long, long) override {
    if (lir.count(page) != 0) {
      lift(page);
    } else {
      const bool recent = has(stack, page);
      lift(page);
      drop(queue, page);
      if (recent) promote(page);
      else push(queue, page);
    }
    prune();
  }
  void on_miss(int page, long, long) override {
    if (full()) {
      int victim = 0;
      if (!queue.empty()) {
        victim = pop(queue);
      } else {
        victim = pop(stack);
        lir.erase(victim);
      }
      evict(victim);
      prune_ghosts();
    }
    const bool recent = has(stack, page);
    lift(page);
    if (recent || lir.size() < lir_most) promote(page);
    else push(queue, page);
    prune();
  }
  void forget(int page) override {
    for (Pages* list : {&stack, &queue}) drop(*list, page);
    lir.erase(page);
    prune();
  }
  void lift(int page) {
    drop(stack, page);
    push(stack, page);
  }
  void promote(int page) {
    lir.insert(page);
    if (lir.size() <= lir_most) return;
    prune();
    const int bottom = pop(stack);
    lir.erase(bottom);
    push(queue, bottom);
  }
  void prune() {
    while (!stack.empty() && lir.count(stack.back()) == 0) stack.pop_back();
  }
  void prune_ghosts() { prune(); }
  std::size_t lir_most;
  std::set<int> lir;
  Pages stack, queue;  // top first; newest first
};

// Section 4.3 of the CLOCK-Pro paper on a linked ring.
class ClockPro final : public Memory {
 public:
  explicit ClockPro(std::size_t c) : Memory(c), least(std::max<std::size_t>(1, c / 100)), cold_target(least) {}
  struct Entry {
    int page;
    char kind;  // 'h'ot, 'c'old, 'n'ot resident
    bool test;
  };
  using Ring = std::list<Entry>;
  using Hand = Ring::iterator;

  void on_miss(int page, long, long) override {
    while (full()) find_victim();
    bool made_hot = false;
    const Hand at = find(page);
    if (at != ring.end()) {
      remove(at);
      adapt(+1);
      made_hot = true;
    } else {
      made_hot = count('h') + cold_target < capacity;
    }
    insert({page, made_hot ? 'h' : 'c', !made_hot});
    limit_hot();
  }
  void find_victim() {
    while (count('c') == 0) run_hot();
    for (;;) {
      const Hand at = cold;
      if (at->kind != 'c') {
        advance(cold);
        continue;
      }
      Entry entry = *at;
      if (test_and_clear(entry.page)) {
        remove(at);
        if (entry.test) {
          entry = {entry.page, 'h', false};
          adapt(+1);
        } else {
          entry.test = true;
        }
        insert(entry);
        limit_hot();
        continue;
      }
      evict(entry.page);
      if (entry.test) {
        advance(cold);
        at->kind = 'n';
        while (count('n') > capacity) run_test();
      } else {
        remove(at);
      }
      return;
    }
  }
  void run_hot() {
    for (;;) {
      const Hand at = hot;
      advance(hot);
      if (at->kind != 'h') {
        end_test(at);
      } else if (!test_and_clear(at->page)) {
        at->kind = 'c';
        return;
      }
    }
  }
  void run_test() {
    for (;;) {
      const Hand at = test;
      advance(test);
      const bool stop = at->kind == 'n';
      end_test(at);
      if (stop) return;
    }
  }
  void end_test(Hand at) {
    if (!at->test) return;
    adapt(-1);
    at->test = false;
    if (at->kind == 'n') remove(at);
  }
  void limit_hot() {
    while (count('h') > 0 && count('h') + cold_target > capacity) run_hot();
  }
  void adapt(int by) {
    const long low = static_cast<long>(least), high = std::max(static_cast<long>(capacity) - low, low);
    cold_target = static_cast<std::size_t>(std::min(std::max(static_cast<long>(cold_target) + by, low), high));
  }
  void forget(int page) override {
    const Hand at = find(page);
    if (at != ring.end()) remove(at);
  }
  std::size_t count(char kind) {
    return static_cast<std::size_t>(std::count_if(ring.begin(), ring.end(), [&](const Entry& entry) { return entry.kind == kind; }));
  }
  Hand find(int page) {
    return std::find_if(ring.begin(), ring.end(), [&](const Entry& entry) { return entry.page == page; });
  }
  void advance(Hand& hand) {
    if (++hand == ring.end()) hand = ring.begin();
  }
  void insert(Entry entry) {
    if (ring.empty()) {
      ring.push_back(entry);
      hot = cold = test = ring.begin();
    } else {
      ring.insert(hot, entry);
    }
  }
  void remove(Hand at) {
    for (Hand* hand : {&hot, &cold, &test}) {
      if (*hand == at) advance(*hand);
    }
    ring.erase(at);
  }
  std::size_t least, cold_target;
  Ring ring;
  Hand hot, cold, test;
};

class Opt final : public Memory {
 public:
  using Memory::Memory;
  void on_hit(int page, long, long next) override { uses[page] = next; }
  void on_miss(int page, long, long next) override {
    if (full()) {
      const auto last = std::max_element(uses.begin(), uses.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      evict(last->first);
      uses.erase(last);
    }
    uses[page] = next;
  }
  void forget(int page) override { uses.erase(page); }
  std::map<int, long> uses;
};

// By the definition: the pages of the last tau references.
class WorkingSet final : public Memory {
 public:
  WorkingSet(std::size_t c, long window) : Memory(c), tau(window) {}
  void on_hit(int page, long now, long) override { used[page] = now; }
  void on_miss(int page, long now, long) override {
    if (full()) {
      const auto oldest = std::min_element(used.begin(), used.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      evict(oldest->first);
      used.erase(oldest);
    }
    used[page] = now;
  }
  void after(int, long now, long) override {
    for (auto at = used.begin(); at != used.end();) {
      if (at->second > now - tau) {
        ++at;
      } else {
        evict(at->first);
        at = used.erase(at);
      }
    }
  }
  void forget(int page) override { used.erase(page); }
  long tau;
  std::map<int, long> used;
};

class Vmin final : public Memory {
 public:
  Vmin(std::size_t c, long window) : Memory(c), tau(window) {}
  void on_miss(int, long, long) override {}
  void after(int page, long now, long next) override {
    if (next - now > tau) evict(page);
  }
  void forget(int) override {}
  long tau;
};

class Pff final : public Memory {
 public:
  Pff(std::size_t c, long window) : Memory(c), interval(window) {}
  void on_hit(int page, long, long) override { use_bits.insert(page); }
  void on_miss(int page, long now, long) override {
    if (now - last_fault >= interval) {
      const std::set<int> before = resident;
      for (const int other : before) {
        if (use_bits.count(other) == 0) evict(other);
      }
    }
    use_bits = {page};
    last_fault = now;
  }
  void forget(int page) override { use_bits.erase(page); }
  long interval, last_fault = 0;
  std::set<int> use_bits;
};

}  // namespace faultline::naive
