// Payloads of the tasks and mappings blocks: arrays of varints as in memory_codec.h. Readers sort by time.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "trace/system_event.h"

namespace faultline::trace {

class TaskEncoder {
 public:
  void add(const TaskEvent& task);
  std::vector<std::uint8_t>& bytes() { return bytes_; }
  std::uint32_t count() const { return count_; }
  void clear();

 private:
  std::vector<std::uint8_t> bytes_;
  TaskEvent last_;
  std::uint32_t count_ = 0;
};

class MappingEncoder {
 public:
  void add(const MappingEvent& mapping);
  std::vector<std::uint8_t>& bytes() { return bytes_; }
  std::uint32_t count() const { return count_; }
  void clear();

 private:
  std::vector<std::uint8_t> bytes_;
  std::map<std::string, std::uint64_t> paths_;  // of this block, from 1
  std::uint64_t last_ns_ = 0, last_start_ = 0;
  std::uint32_t count_ = 0;
};

// Append to out. False if the bytes are no such array; out then holds what came before.
bool decode_tasks(std::span<const std::uint8_t> bytes, std::vector<TaskEvent>& out);
bool decode_mappings(std::span<const std::uint8_t> bytes, std::vector<MappingEvent>& out);

}  // namespace faultline::trace
