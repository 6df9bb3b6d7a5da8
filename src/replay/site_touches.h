// SiteTouches: how much of its blocks a call site touches, learned from pages on which it could be seen.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "trace/event.h"

namespace faultline::replay {

class SiteTouches {
 public:
  // Pages seen in one part of the blocks of one site and size.
  struct Seen {
    double untouched = 0, read_only = 0, read_first = 0, written = 0;  // pages; written: without a look before
    double changed = 0;                                               // written, whether after a look was not seen: told by their contents
    double pages() const { return untouched + touched(); }
    double touched() const { return in_order() + changed; }
    double in_order() const { return read_only + read_first + written; }  // what came first is known
    void add(const Seen& more);
  };
  struct Usual {
    double touched = 1;       // 0 to 1, of the pages in this part of the block
    bool order_seen = false;  // whether a look comes first
    bool read_first = false;  // before they are written
    bool read_only = false;
    bool seen = false;        // false: nothing comparable was seen, this is the assumption that all is written
    bool of_site = false;     // by blocks of the same call site
  };

  // part: where in the block the page lies, 0 up to but not including kParts.
  static constexpr unsigned kParts = 16;
  static unsigned part_of(std::uint64_t offset, std::uint64_t size) {
    return size == 0 ? 0 : static_cast<unsigned>(std::min<std::uint64_t>(kParts - 1, offset * kParts / size));
  }
  using Block = std::map<unsigned, Seen>;  // by part
  void learn(trace::StackId stack, std::uint64_t size, const Block& block);
  Usual usual(trace::StackId stack, std::uint64_t size, unsigned part) const;

  // Touch this page? As many of a site's pages are as are usual, spread evenly.
  bool spread(trace::StackId stack, std::uint64_t size, double touched);

  // How far off the model is, measured on pages that were seen: pages predicted too many or too few, as a share of those
  // predicted. within: half of a site's blocks judged by the other half. across: a site judged as if none of it had been seen.
  // Not less than kLeastError: pages seen first are not like all pages. bench/whatif: of the 5,132 faults judged so for sqlite3
  // with tiny thresholds 1,648 were too many, though all pages seen were touched.
  static constexpr double kLeastError = 0.3;
  double error_within() const;
  double error_across() const;

 private:
  struct Site {
    std::array<Seen, kParts> parts;
    Seen all;
    std::array<Seen, 2> halves;  // every other block
    unsigned blocks = 0;
  };
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  std::map<Key, Site> by_site_;   // call site, size class
  std::map<Key, Site> by_size_;   // 0, exact size
  std::map<Key, Site> by_class_;  // 0, size class
  std::map<Key, double> carried_;

  static std::optional<Usual> judge(const std::map<Key, Site>& table, const Key& key, unsigned part);
};

}  // namespace faultline::replay
