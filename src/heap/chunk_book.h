// Which chunks of a kind there are (mapped chunks, heaps of thread arenas), for a model: it can then tell a block from any
// other address. Real memory trusts its headers and keeps no such list.
#pragma once

#include <unordered_set>

#include "base/assert.h"
#include "heap/memory_provider.h"

namespace faultline::heap {

template <bool kept>
class ChunkBook {
 public:
  void add(Address chunk) { FL_ASSERT(chunks_.insert(chunk).second); }
  void remove(Address chunk) { FL_ASSERT(chunks_.erase(chunk) == 1); }
  bool contains(Address chunk) const { return chunks_.contains(chunk); }
  const std::unordered_set<Address>& chunks() const { return chunks_; }

 private:
  std::unordered_set<Address> chunks_;
};

template <>
class ChunkBook<false> {
 public:
  void add(Address) {}
  void remove(Address) {}
  bool contains(Address) const { return true; }
};

}  // namespace faultline::heap
