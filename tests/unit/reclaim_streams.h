// Random reference streams, and the smallest one that still fails.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "analyze/curves/simulation.h"

namespace faultline::testing {

struct StreamEvent {
  mm::PageId page = 0;
  analyze::PageEvent kind = analyze::PageEvent::read;
};
using Stream = std::vector<StreamEvent>;

// Phases of uniform, skewed, cyclic and sequential references over `pages` pages; one event in `gone_in` takes a page away (0: none).
inline Stream random_stream(std::uint64_t seed, std::size_t length, mm::PageId pages, unsigned gone_in) {
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t bound) { return static_cast<mm::PageId>(random() % bound); };
  Stream stream;
  while (stream.size() < length) {
    const mm::PageId kind = below(4), from = below(pages), span = 1 + below(pages);
    const std::size_t phase = 1 + below(3 * pages);
    for (std::size_t i = 0; i < phase && stream.size() < length; ++i) {
      if (gone_in != 0 && below(gone_in) == 0) stream.push_back({below(pages), analyze::PageEvent::gone});
      mm::PageId page = 0;
      switch (kind) {
        case 0: page = below(pages); break;
        case 1: page = below(1 + below(1 + below(pages))); break;  // low numbers far more often
        case 2: page = static_cast<mm::PageId>((from + i % span) % pages); break;
        default: page = static_cast<mm::PageId>((from + i) % pages); break;
      }
      stream.push_back({page, below(4) == 0 ? analyze::PageEvent::write : analyze::PageEvent::read});
    }
  }
  return stream;
}

// By reference, not by event: the next reference of the same page with nothing taken away in between.
inline std::vector<std::uint32_t> next_uses(const Stream& stream) {
  std::vector<std::uint32_t> next;
  std::map<mm::PageId, std::uint32_t> last;
  for (const StreamEvent& event : stream) {
    if (event.kind == analyze::PageEvent::gone) {
      last.erase(event.page);
      continue;
    }
    const auto now = static_cast<std::uint32_t>(next.size());
    if (const auto found = last.find(event.page); found != last.end()) next[found->second] = now;
    last[event.page] = now;
    next.push_back(analyze::NextUses::kNever);
  }
  return next;
}

// Cuts pieces out as long as `fails` stays true.
template <typename Fails>
Stream shrink(Stream stream, const Fails& fails) {
  for (std::size_t piece = stream.size() / 2; piece > 0; piece = piece == 1 ? 0 : piece / 2) {
    for (std::size_t at = 0; at + piece <= stream.size();) {
      Stream less = stream;
      less.erase(less.begin() + static_cast<long>(at), less.begin() + static_cast<long>(at + piece));
      if (fails(less)) stream = less;
      else at += piece;
    }
  }
  return stream;
}

inline std::string text(const Stream& stream) {
  std::string out;
  for (const StreamEvent& event : stream) {
    out += fmt::format("{}{} ", event.kind == analyze::PageEvent::gone ? "-" : event.kind == analyze::PageEvent::write ? "w" : "", event.page);
  }
  return out;
}

inline void feed(analyze::Simulation& simulation, const StreamEvent& event, mm::PageId pages, const std::vector<std::uint32_t>& next) {
  simulation.feed({std::span(&event.page, 1), std::span(&event.kind, 1)}, pages, next.data());
}

inline analyze::SimulationCounts count(const char* policy, const Stream& stream, mm::PolicyConfig config) {
  analyze::Simulation simulation(*mm::find_policy(policy), config);
  const std::vector<std::uint32_t> next = next_uses(stream);
  std::vector<mm::PageId> pages;
  std::vector<analyze::PageEvent> events;
  mm::PageId most = 0;
  for (const StreamEvent& event : stream) {
    pages.push_back(event.page);
    events.push_back(event.kind);
    most = std::max(most, event.page + 1);
  }
  simulation.feed({pages, events}, most, next.data());
  simulation.check_invariants();
  return simulation.counts();
}

inline mm::PolicyConfig frames(std::uint64_t capacity, std::uint64_t window = 0, unsigned bits = 1) {
  mm::PolicyConfig config;
  config.capacity = capacity;
  config.window = window;
  config.bits = bits;
  return config;
}

}  // namespace faultline::testing
