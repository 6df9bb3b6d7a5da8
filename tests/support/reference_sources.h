// Reference streams for tests: in memory, random, and naive memories to judge filters by.
#pragma once

#include <algorithm>
#include <list>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "trace/references/reference.h"

namespace faultline::trace {

class VectorSource : public ReferenceSource {
 public:
  explicit VectorSource(std::vector<ReferenceEvent> events, bool mappings = false) : events_(std::move(events)), mappings_(mappings) {}
  Result<std::size_t> next(std::span<ReferenceEvent> buffer) override {
    const std::size_t count = std::min(buffer.size(), events_.size() - at_);
    std::copy_n(events_.begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
    at_ += count;
    return count;
  }
  Result<void> rewind() override {
    at_ = 0;
    return {};
  }
  const std::vector<ReferenceFile>& files() const override { return files_; }
  const std::vector<ReferenceProcess>& processes() const override { return processes_; }
  bool has_mappings() const override { return mappings_; }
  std::vector<std::string> remarks() const override { return remarks_; }

  std::vector<ReferenceFile> files_;
  std::vector<ReferenceProcess> processes_;
  std::vector<std::string> remarks_;

 private:
  std::vector<ReferenceEvent> events_;
  std::size_t at_ = 0;
  bool mappings_;
};

inline std::vector<ReferenceEvent> drain(ReferenceSource& source, std::size_t batch = 1000) {
  std::vector<ReferenceEvent> all, buffer(batch);
  for (;;) {
    const auto count = source.next(buffer);
    if (!count || *count == 0) return all;
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*count));
  }
}

inline ReferenceEvent touch(ReferenceKind kind, std::uint64_t page, std::uint32_t process = 0) {
  ReferenceEvent event;
  event.kind = kind;
  event.page = page;
  event.process = process;
  return event;
}

// Loops over a few pages, jumps, scans: what programs do.
inline std::vector<ReferenceEvent> random_touches(std::uint32_t seed, std::size_t count, std::uint32_t processes = 1, bool calls = false) {
  std::mt19937 random(seed);
  std::vector<ReferenceEvent> events;
  std::uint64_t base = 1000, at = 1000, spread = 20;
  std::uint32_t process = 0;
  while (events.size() < count) {
    const auto choice = random() % 1000;
    if (choice < 5) base = 1000 + random() % 2000, spread = 1 + random() % 300;
    if (choice < 10) process = random() % processes;
    at = choice % 3 == 0 ? base + random() % spread : choice % 3 == 1 ? at : at + 1;
    const auto kind = static_cast<ReferenceKind>(random() % 10 < 6 ? 0 : random() % 2 + 1);
    if (calls && choice > 996) {
      ReferenceEvent call;
      call.kind = static_cast<ReferenceKind>(3 + random() % 8);
      call.process = process;
      call.page = std::uint64_t{random()} << (random() % 32);
      call.pages = random() % 5000;
      call.file = random() % 3 == 0 ? kNoFile : random() % 4;
      call.file_page = random() % 100000;
      call.protection = random() % 8;
      call.shared = random() % 2 != 0;
      events.push_back(call);
    } else {
      events.push_back(touch(kind, at, process));
    }
  }
  return events;
}

// Pages that miss, in order.
inline std::vector<std::uint64_t> lru_misses(const std::vector<ReferenceEvent>& events, std::size_t size) {
  std::list<std::uint64_t> order;
  std::map<std::uint64_t, std::list<std::uint64_t>::iterator> where;
  std::vector<std::uint64_t> misses;
  for (const ReferenceEvent& event : events) {
    const auto found = where.find(event.page);
    if (found != where.end()) {
      order.splice(order.begin(), order, found->second);
      continue;
    }
    misses.push_back(event.page);
    if (where.size() == size) {
      where.erase(order.back());
      order.pop_back();
    }
    order.push_front(event.page);
    where[event.page] = order.begin();
  }
  return misses;
}

inline std::size_t opt_misses(const std::vector<ReferenceEvent>& events, std::size_t size) {
  std::map<std::uint64_t, std::size_t> next_use;
  std::vector<std::size_t> next(events.size());
  for (std::size_t i = events.size(); i-- > 0;) {
    const auto found = next_use.find(events[i].page);
    next[i] = found == next_use.end() ? events.size() + i : found->second;  // never again: all different
    next_use[events[i].page] = i;
  }
  std::set<std::pair<std::size_t, std::uint64_t>> memory;
  std::map<std::uint64_t, std::size_t> due;
  std::size_t misses = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto found = due.find(events[i].page);
    if (found != due.end()) {
      memory.erase({found->second, events[i].page});
    } else {
      ++misses;
      if (memory.size() == size) {
        due.erase(std::prev(memory.end())->second);
        memory.erase(std::prev(memory.end()));
      }
    }
    memory.insert({next[i], events[i].page});
    due[events[i].page] = next[i];
  }
  return misses;
}

}  // namespace faultline::trace
