#include <xxhash.h>

#include <algorithm>

#include "trace/recording.h"

namespace faultline::trace {

StackTable::StackTable() : offsets_{0, 0}, slots_(1024, 0) {}  // stack 0 is empty

StackId StackTable::intern(std::span<const std::uint64_t> frames) {
  if (frames.empty()) return 0;
  if (offsets_.size() * 2 > slots_.size()) grow();
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t at = XXH3_64bits(frames.data(), frames.size_bytes()) & mask;; at = (at + 1) & mask) {
    const StackId id = slots_[at];
    if (id == 0) {
      pool_.insert(pool_.end(), frames.begin(), frames.end());
      offsets_.push_back(static_cast<std::uint32_t>(pool_.size()));
      return slots_[at] = static_cast<StackId>(offsets_.size() - 2);
    }
    const auto known = this->frames(id);
    if (known.size() == frames.size() && std::equal(known.begin(), known.end(), frames.begin())) return id;
  }
}

std::span<const std::uint64_t> StackTable::frames(StackId id) const {
  if (id >= size()) return {};
  return {pool_.data() + offsets_[id], pool_.data() + offsets_[id + 1]};
}

void StackTable::grow() {
  std::vector<StackId> larger(slots_.size() * 2, 0);
  const std::size_t mask = larger.size() - 1;
  for (StackId id = 1; id < size(); ++id) {
    const auto known = frames(id);
    std::size_t at = XXH3_64bits(known.data(), known.size_bytes()) & mask;
    while (larger[at] != 0) at = (at + 1) & mask;
    larger[at] = id;
  }
  slots_ = std::move(larger);
}

}  // namespace faultline::trace
