#include "analyze/curves/lru_stack.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace faultline::analyze {
namespace {

// Inline where the processor's own instruction cannot be assumed: the library call is slower than the tree.
constexpr std::uint64_t count_bits(std::uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555;
  x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
  return ((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f) * 0x0101010101010101 >> 56;
}

}  // namespace

void LruStack::reach(mm::PageId pages) {
  if (pages > last_.size()) last_.resize(pages + pages / 2, kNone);
}

std::uint64_t LruStack::touch(mm::PageId page) {
  if (now_ == words_.size() * 64) renumber();
  const Time before = last_[page];
  std::uint64_t depth = kAbsent;
  const bool fills = !holes_.empty() && (before == kNone || holes_.top() > before);
  if (before != kNone) depth = marked_ - marked_before(before);
  if (fills) {
    clear(holes_.top());
    holes_.pop();
    if (before != kNone) holes_.push(before);
  } else if (before != kNone) {
    clear(before);
  }
  last_[page] = now_;
  mark_now();
  return depth;
}

void LruStack::take_away(mm::PageId page) {
  if (last_[page] == kNone) return;
  holes_.push(last_[page]);
  last_[page] = kNone;
}

void LruStack::erase(mm::PageId page) {
  if (last_[page] == kNone) return;
  clear(last_[page]);
  last_[page] = kNone;
}

void LruStack::prefetch(std::span<const mm::PageId> soon, std::span<const mm::PageId> sooner) const {
  for (const mm::PageId page : soon) __builtin_prefetch(&last_[page], 1);
  for (const mm::PageId page : sooner) {
    if (last_[page] == kNone) continue;
    __builtin_prefetch(&words_[last_[page] / 64], 1);
    __builtin_prefetch(&word_counts_[last_[page] / 64], 1);
  }
}

void LruStack::mark_now() {
  words_[now_ / 64] |= std::uint64_t{1} << (now_ % 64);
  ++word_counts_[now_ / 64];
  ++marked_;
  constexpr Time kTimesPerBlock = 64 * kWordsPerBlock;
  if (++now_ % kTimesPerBlock != 0) return;
  // The block is full: its count goes into the tree, which until then need not know of it.
  const std::size_t block = now_ / kTimesPerBlock - 1;
  std::uint32_t count = 0;
  for (std::size_t word = block * kWordsPerBlock; word < (block + 1) * kWordsPerBlock; ++word) count += word_counts_[word];
  for (std::size_t at = block + 1; at < tree_.size(); at += at & -at) tree_[at] += count;
}

void LruStack::clear(Time at) {
  words_[at / 64] &= ~(std::uint64_t{1} << (at % 64));
  --word_counts_[at / 64];
  --marked_;
  const std::size_t block = at / 64 / kWordsPerBlock;
  if (block == now_ / 64 / kWordsPerBlock) return;
  for (std::size_t node = block + 1; node < tree_.size(); node += node & -node) --tree_[node];
}

std::uint64_t LruStack::marked_before(Time at) const {
  const std::size_t word = at / 64;
  std::uint64_t count = count_bits(words_[word] & ((std::uint64_t{1} << (at % 64)) - 1));
  for (std::size_t i = word / kWordsPerBlock * kWordsPerBlock; i < word; ++i) count += word_counts_[i];
  for (std::size_t node = word / kWordsPerBlock; node > 0; node &= node - 1) count += tree_[node];
  return count;
}

void LruStack::renumber() {
  std::vector<std::uint64_t> before(words_.size());
  std::uint64_t sum = 0;
  for (std::size_t word = 0; word < words_.size(); ++word) {
    before[word] = sum;
    sum += word_counts_[word];
  }
  const auto rank = [&](Time at) {
    return static_cast<Time>(before[at / 64] + count_bits(words_[at / 64] & ((std::uint64_t{1} << (at % 64)) - 1)));
  };
  for (Time& time : last_) {
    if (time != kNone) time = rank(time);
  }
  std::vector<Time> holes;
  for (; !holes_.empty(); holes_.pop()) holes.push_back(rank(holes_.top()));
  holes_ = std::priority_queue<Time>(std::less<Time>(), std::move(holes));

  // Room for three references more for each page there is.
  const std::uint64_t times = std::max<std::uint64_t>(std::bit_ceil(marked_ * 4), 1 << 14);
  FL_ASSERT(times <= kNone);
  words_.assign(times / 64, 0);
  word_counts_.assign(times / 64, 0);
  tree_.assign(times / 64 / kWordsPerBlock + 1, 0);
  const std::uint64_t marked = marked_;
  marked_ = now_ = 0;
  while (now_ < marked) mark_now();
}

void LruStack::check_invariants() const {
  std::uint64_t sum = 0;
  for (std::size_t word = 0; word < words_.size(); ++word) {
    FL_ASSERT(count_bits(words_[word]) == word_counts_[word]);
    sum += word_counts_[word];
  }
  const auto pages = std::count_if(last_.begin(), last_.end(), [&](Time time) { return time != kNone && marked(time); });
  FL_ASSERT(sum == marked_ && static_cast<std::uint64_t>(pages) + holes_.size() == marked_);
}

}  // namespace faultline::analyze
