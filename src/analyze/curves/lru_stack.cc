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
    __builtin_prefetch(&word_sums_[last_[page] / 64 / kFan], 1);
  }
}

void LruStack::mark_now() {
  if (now_ % 64 == 0) enter_word();
  words_[now_ / 64] |= std::uint64_t{1} << (now_ % 64);
  ++marked_;
  ++now_;
}

// What comes before the word can be said now; until now it was not known, and clear() may have written anything there.
void LruStack::enter_word() {
  const std::size_t word = now_ / 64, node = word / kFan, block = node / kFan;
  const auto sum_after = [&](std::size_t last) { return word_sums_[last / kFan][last % kFan] + count_bits(words_[last]); };
  if (word % kFan != 0) {
    word_sums_[node][word % kFan] = static_cast<std::uint16_t>(sum_after(word - 1));
    return;
  }
  word_sums_[node][0] = 0;
  if (node % kFan != 0) {
    node_sums_[block][node % kFan] = static_cast<std::uint16_t>(node_sums_[block][node % kFan - 1] + sum_after(word - 1));
    return;
  }
  node_sums_[block][0] = 0;
  if (block == 0) return;
  // A block is full: its count goes into the tree, which until then need not know of it.
  const auto count = static_cast<std::uint32_t>(node_sums_[block - 1][kFan - 1] + sum_after(word - 1));
  for (std::size_t at = block; at < tree_.size(); at += at & -at) tree_[at] += count;
}

void LruStack::clear(Time at) {
  const std::size_t word = at / 64, node = word / kFan, block = node / kFan;
  words_[word] &= ~(std::uint64_t{1} << (at % 64));
  --marked_;
  const auto one_less_after = [](Sums& sums, std::size_t child) {
    for (std::uint16_t i = 0; i < kFan; ++i) sums[i] = static_cast<std::uint16_t>(sums[i] - (i > static_cast<std::uint16_t>(child)));
  };
  one_less_after(word_sums_[node], word % kFan);
  one_less_after(node_sums_[block], node % kFan);
  if (now_ != 0 && block == (now_ - 1) / kTimesPerBlock) return;
  for (std::size_t at_node = block + 1; at_node < tree_.size(); at_node += at_node & -at_node) --tree_[at_node];
}

std::uint64_t LruStack::marked_before(Time at) const {
  const std::size_t word = at / 64, node = word / kFan, block = node / kFan;
  std::uint64_t count = count_bits(words_[word] & ((std::uint64_t{1} << (at % 64)) - 1));
  count += word_sums_[node][word % kFan];
  count += node_sums_[block][node % kFan];
  for (std::size_t at_node = block; at_node > 0; at_node &= at_node - 1) count += tree_[at_node];
  return count;
}

void LruStack::renumber() {
  std::vector<std::uint64_t> before(words_.size());
  std::uint64_t sum = 0;
  for (std::size_t word = 0; word < words_.size(); ++word) {
    before[word] = sum;
    sum += count_bits(words_[word]);
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
  word_sums_.assign(times / 64 / kFan, {});
  node_sums_.assign((times + kTimesPerBlock - 1) / kTimesPerBlock, {});
  tree_.assign(node_sums_.size() + 1, 0);
  const std::uint64_t marked = marked_;
  marked_ = now_ = 0;
  while (now_ < marked) mark_now();
}

void LruStack::check_invariants() const {
  std::uint64_t sum = 0;
  for (std::size_t word = 0; word < words_.size(); ++word) {
    FL_ASSERT(word * 64 >= now_ ? words_[word] == 0 : marked_before(static_cast<Time>(word * 64)) == sum);
    sum += count_bits(words_[word]);
  }
  const auto pages = std::count_if(last_.begin(), last_.end(), [&](Time time) { return time != kNone && marked(time); });
  FL_ASSERT(sum == marked_ && static_cast<std::uint64_t>(pages) + holes_.size() == marked_);
}

}  // namespace faultline::analyze
