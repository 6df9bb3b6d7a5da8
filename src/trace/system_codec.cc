#include "trace/system_codec.h"

#include "trace/varint_array.h"

namespace faultline::trace {

using varint::Input;
using varint::put;
using varint::put_difference;

// A task event: kind << 1 | shares_memory, time, pid, parent; the last three as differences. A fork by another thread than the
// parent's first is of a kind of its own: the thread follows.
constexpr std::uint64_t kForkByThread = static_cast<std::uint64_t>(TaskKind::exit) + 1;

void TaskEncoder::add(const TaskEvent& task) {
  const bool by_thread = task.kind == TaskKind::fork && task.parent_tid != 0 && task.parent_tid != task.parent;
  put(bytes_, (by_thread ? kForkByThread : static_cast<std::uint64_t>(task.kind)) << 1 | (task.shares_memory ? 1 : 0));
  put_difference(bytes_, task.time_ns, last_.time_ns);
  put_difference(bytes_, static_cast<std::uint64_t>(task.pid), static_cast<std::uint64_t>(last_.pid));
  put_difference(bytes_, static_cast<std::uint64_t>(task.parent), static_cast<std::uint64_t>(last_.parent));
  if (by_thread) put_difference(bytes_, static_cast<std::uint64_t>(task.parent_tid), static_cast<std::uint64_t>(task.parent));
  last_ = task;
  ++count_;
}

void TaskEncoder::clear() { *this = {}; }

bool decode_tasks(std::span<const std::uint8_t> bytes, std::vector<TaskEvent>& out) {
  Input in(bytes);
  TaskEvent task;
  while (in.more()) {
    std::uint64_t kind = 0;
    if (!in.get(kind) || kind >> 1 > kForkByThread) return false;
    if (!in.difference(task.time_ns) || !in.tid(task.pid) || !in.tid(task.parent)) return false;
    const bool by_thread = kind >> 1 == kForkByThread;
    task.kind = by_thread ? TaskKind::fork : static_cast<TaskKind>(kind >> 1);
    task.parent_tid = task.kind == TaskKind::fork ? task.parent : 0;
    if (by_thread && !in.tid(task.parent_tid)) return false;
    task.shares_memory = (kind & 1) != 0;
    out.push_back(task);
  }
  return true;
}

// A mapping: path (0 and a new text, or the number of an earlier one of the block), time and start as differences, length,
// offset, prot, flags, device, inode, generation.
void MappingEncoder::add(const MappingEvent& mapping) {
  const auto [path, is_new] = paths_.try_emplace(mapping.path, paths_.size() + 1);
  put(bytes_, is_new ? 0 : path->second);
  if (is_new) {
    put(bytes_, mapping.path.size());
    bytes_.insert(bytes_.end(), mapping.path.begin(), mapping.path.end());
  }
  put_difference(bytes_, mapping.time_ns, last_ns_);
  put_difference(bytes_, mapping.start, last_start_);
  put(bytes_, mapping.end - mapping.start);
  put(bytes_, mapping.offset);
  put(bytes_, mapping.prot);
  put(bytes_, mapping.flags);
  put(bytes_, mapping.device);
  put(bytes_, mapping.inode);
  put(bytes_, mapping.inode_generation);
  last_ns_ = mapping.time_ns;
  last_start_ = mapping.start;
  ++count_;
}

void MappingEncoder::clear() { *this = {}; }

bool decode_mappings(std::span<const std::uint8_t> bytes, std::vector<MappingEvent>& out) {
  Input in(bytes);
  MappingEvent mapping;
  std::vector<std::string> paths;
  while (in.more()) {
    std::uint64_t path = 0, length = 0;
    if (!in.get(path) || path > paths.size()) return false;
    if (path == 0) {
      path = paths.size() + 1;
      if (!in.text(paths.emplace_back())) return false;
    }
    if (!in.difference(mapping.time_ns) || !in.difference(mapping.start) || !in.get(length) || !in.get(mapping.offset)) return false;
    if (!in.get32(mapping.prot) || !in.get32(mapping.flags) || !in.get32(mapping.device)) return false;
    if (!in.get(mapping.inode) || !in.get(mapping.inode_generation)) return false;
    mapping.end = mapping.start + length;
    mapping.path = paths[path - 1];
    out.push_back(mapping);
  }
  return true;
}

}  // namespace faultline::trace
