// What each system call of a log does to the process: numbers and arguments of x86-64 Linux.
#include <algorithm>

#include "trace/references/traced_process.h"

namespace faultline::trace {
namespace {

constexpr std::uint64_t page_end(std::uint64_t address, std::uint64_t bytes) { return (address + bytes + 4095) >> 12; }
constexpr std::uint64_t kAnonymous = 0x20, kShared = 1;                       // mmap(2)
constexpr std::uint64_t kKeepOld = 4;                                         // mremap(2)
constexpr std::uint64_t kDontNeed = 4, kFree = 8, kRemove = 9;                // madvise(2)
constexpr std::uint64_t kDuplicate = 0, kDuplicateCloseOnExec = 1030;         // fcntl(2)
constexpr std::uint64_t kMostPosition = std::uint64_t{1} << 62;
constexpr std::uint64_t kMostTransfer = std::uint64_t{1} << 31;               // read(2) returns less

int descriptor_of(std::uint64_t value) { return static_cast<int>(static_cast<std::uint32_t>(value)); }

}  // namespace

void TracedProcess::call(const SyscallLine& line) {
  if (ended_) return;
  if (line.arguments && !line.ended) {
    pending_[line.tid] = {line.number, *line.arguments};
    if (line.number == 231) end();
    return;
  }
  SyscallArguments arguments;
  if (line.arguments) {
    arguments = *line.arguments;
  } else if (const auto begun = pending_.find(line.tid); begun != pending_.end() && begun->second.first == line.number) {
    arguments = std::move(begun->second.second);
  } else {
    return;
  }
  pending_.erase(line.tid);
  if (line.number == 231) return end();  // exit_group
  if (line.succeeded) run(line.number, arguments, line.result);
}

void TracedProcess::opened(std::uint64_t directory, const std::string& path, std::uint64_t descriptor) {
  std::uint32_t file = kNoFile;
  if (path.starts_with('/')) {
    file = world_->files.number(path);
  } else if (static_cast<std::int32_t>(static_cast<std::uint32_t>(directory)) == -100) {  // AT_FDCWD
    file = world_->files.number(directory_.empty() ? path : directory_ + "/" + path);
  } else {
    ++world_->unseen["files opened relative to a directory's descriptor: their reads and mappings are not known as a file's"];
  }
  descriptors_.open(descriptor_of(descriptor), file);
}

void TracedProcess::set_break(std::uint64_t now) {
  const std::uint64_t before = (break_ + 4095) >> 12, end = (now + 4095) >> 12;
  if (break_ != 0 && end > before) map(before, end, Mapping{});
  if (break_ != 0 && end < before) unmap(end, before);
  break_ = now;
}

void TracedProcess::move(const SyscallArguments& arguments, std::uint64_t result) {
  const std::uint64_t from = arguments.value[0] >> 12, from_end = page_end(arguments.value[0], arguments.value[1]);
  const std::uint64_t to = result >> 12, to_end = page_end(result, arguments.value[2]);
  if (from_end <= from || to_end <= to) {
    ++world_->unseen["mremap of nothing: a second view of a shared mapping"];
    return;
  }
  const auto after = mappings_.upper_bound(from);
  Mapping mapping;
  if (after != mappings_.begin() && from < std::prev(after)->second.end) {
    const auto at = std::prev(after);
    mapping = at->second;
    if (mapping.file != kNoFile) mapping.file_page += from - at->first;
  }
  if ((arguments.value[3] & kKeepOld) != 0) ++world_->unseen["mremap with MREMAP_DONTUNMAP, taken as a move"];
  const std::uint64_t kept = std::min(from_end - from, to_end - to);
  if (from + kept < from_end) unmap(from + kept, from_end);
  if (to != from && kept > 0) {
    forget(from, from + kept);
    forget(to, to_end);
    Mapping& moved = mappings_[to] = mapping;
    moved.end = to + kept;
    ReferenceEvent& event = emit(ReferenceKind::move);
    event.page = from;
    event.pages = kept;
    event.file_page = to;
  }
  if (to + kept < to_end) {
    if (mapping.file != kNoFile) mapping.file_page += kept;
    map(to + kept, to_end, mapping);
  }
}

// What passes through the page cache.
void TracedProcess::transfer(bool write, OpenFile* open, std::uint64_t position, std::uint64_t bytes) {
  if (open == nullptr || open->file == kNoFile || bytes == 0 || bytes > kMostTransfer || position > kMostPosition) return;
  ReferenceEvent& event = emit(write ? ReferenceKind::file_write : ReferenceKind::file_read);
  event.file = open->file;
  event.file_page = position >> 12;
  event.page = event.file_page;
  event.pages = page_end(position, bytes) - event.file_page;
  world_->files.reaches(open->file, event.file_page + event.pages);
}

// The kernel copies from or to the buffer: it touches its pages as the program would.
void TracedProcess::read_or_write(bool write, const SyscallArguments& arguments, std::uint64_t bytes, bool at_position) {
  OpenFile* open = descriptors_.find(descriptor_of(arguments.value[0]));
  transfer(write, open, at_position ? arguments.value[3] : open != nullptr ? open->position : 0, bytes);
  if (open != nullptr && !at_position) open->position += bytes;
  if (bytes > 0 && bytes < kMostTransfer) touch(write ? ReferenceKind::read : ReferenceKind::write, arguments.value[1], bytes);
}

void TracedProcess::vectored(bool write, const SyscallArguments& arguments, std::uint64_t bytes, bool at_position) {
  OpenFile* open = descriptors_.find(descriptor_of(arguments.value[0]));
  transfer(write, open, at_position ? arguments.value[3] : open != nullptr ? open->position : 0, bytes);
  if (open != nullptr && !at_position) open->position += bytes;
  ++world_->unseen["readv and writev: the log does not tell their buffers, whose pages are not touched"];
}

void TracedProcess::run(std::uint32_t number, const SyscallArguments& arguments, std::uint64_t result) {
  const auto& value = arguments.value;
  switch (number) {
    case 0: return read_or_write(false, arguments, result, false);
    case 1: return read_or_write(true, arguments, result, false);
    case 17: return read_or_write(false, arguments, result, true);   // pread64
    case 18: return read_or_write(true, arguments, result, true);    // pwrite64
    case 19: return vectored(false, arguments, result, false);       // readv
    case 20: return vectored(true, arguments, result, false);        // writev
    case 295: return vectored(false, arguments, result, true);       // preadv
    case 296: return vectored(true, arguments, result, true);        // pwritev
    case 2: case 85: return opened(static_cast<std::uint64_t>(-100), arguments.text, result);  // open, creat
    case 257: case 437: return opened(value[0], arguments.text, result);                       // openat, openat2
    case 3: return descriptors_.close(descriptor_of(value[0]));
    case 436: return descriptors_.close_range(static_cast<unsigned>(value[0]), static_cast<unsigned>(value[1]));
    case 32: case 33: case 292: return descriptors_.duplicate(descriptor_of(value[0]), descriptor_of(result));  // dup, dup2, dup3
    case 72:
      if (value[1] == kDuplicate || value[1] == kDuplicateCloseOnExec) descriptors_.duplicate(descriptor_of(value[0]), descriptor_of(result));
      return;
    case 8:  // lseek
      if (OpenFile* open = descriptors_.find(descriptor_of(value[0])); open != nullptr) open->position = result;
      return;
    case 80: directory_ = arguments.text.starts_with('/') ? arguments.text : directory_ + "/" + arguments.text; return;  // chdir
    case 9: {  // mmap
      Mapping mapping;
      mapping.protection = value[2] & 7;
      mapping.shared = (value[3] & kShared) != 0;
      if ((value[3] & kAnonymous) == 0) {
        const OpenFile* open = descriptors_.find(descriptor_of(value[4]));
        mapping.file = open != nullptr ? open->file : kNoFile;
        mapping.file_page = value[5] >> 12;
        if (mapping.file == kNoFile) ++world_->unseen["mappings of something that is not known as a file, taken as anonymous memory"];
      }
      return map(result >> 12, page_end(result, value[1]), mapping);
    }
    case 10: return protect(value[0] >> 12, page_end(value[0], value[1]), value[2] & 7);
    case 11: return unmap(value[0] >> 12, page_end(value[0], value[1]));
    case 12: return set_break(result);
    case 25: return move(arguments, result);
    case 28:
      if (value[2] == kDontNeed && page_end(value[0], value[1]) > value[0] >> 12) {
        ReferenceEvent& event = emit(ReferenceKind::discard);
        event.page = value[0] >> 12;
        event.pages = page_end(value[0], value[1]) - event.page;
      } else if (value[2] == kFree || value[2] == kRemove) {
        ++world_->unseen["madvise MADV_FREE and MADV_REMOVE"];
      }
      return;
    case 40: {  // sendfile: to, from, position or null, bytes
      OpenFile* from = descriptors_.find(descriptor_of(value[1]));
      OpenFile* to = descriptors_.find(descriptor_of(value[0]));
      if (value[2] != 0) ++world_->unseen["sendfile from a position the log does not tell, taken as the descriptor's"];
      transfer(false, from, from != nullptr ? from->position : 0, result);
      transfer(true, to, to != nullptr ? to->position : 0, result);
      if (from != nullptr) from->position += result;
      if (to != nullptr) to->position += result;
      return;
    }
    case 326: {  // copy_file_range: from, position or null, to, position or null, bytes
      OpenFile* from = descriptors_.find(descriptor_of(value[0]));
      OpenFile* to = descriptors_.find(descriptor_of(value[2]));
      if (value[1] != 0 || value[3] != 0) ++world_->unseen["copy_file_range at a position the log does not tell, taken as the descriptor's"];
      transfer(false, from, from != nullptr ? from->position : 0, result);
      transfer(true, to, to != nullptr ? to->position : 0, result);
      if (from != nullptr) from->position += result;
      if (to != nullptr) to->position += result;
      return;
    }
    case 29: case 30: case 67:  // shmget's segments
      ++world_->unseen["System V shared memory"];
      return;
    default: return;
  }
}

}  // namespace faultline::trace
