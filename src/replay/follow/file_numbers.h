// FileNumbers: the twin's small numbers for the files behind mappings, by device and inode.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>

#include "trace/system_event.h"

namespace faultline::replay {

class FileNumbers {
 public:
  std::uint32_t of(const trace::MappingEvent& mapping) {
    const auto key = std::make_tuple(mapping.device, mapping.inode, mapping.inode_generation);
    return numbers_.try_emplace(key, static_cast<std::uint32_t>(numbers_.size() + 1)).first->second;
  }
  std::uint32_t unknown() { return next_unknown_++; }  // a file nobody named: equal to no other

 private:
  std::map<std::tuple<std::uint32_t, std::uint64_t, std::uint64_t>, std::uint32_t> numbers_;
  std::uint32_t next_unknown_ = 0x4000'0000;
};

}  // namespace faultline::replay
