// One process as its log tells it: descriptors, mappings and the break, from which its system calls become events.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "trace/references/reference.h"
#include "trace/references/syscall_line.h"
#include "trace/references/traced_files.h"

namespace faultline::trace {

// What all processes of a log share.
struct TracedWorld {
  FileNames files;
  std::vector<ReferenceProcess> processes;
  std::vector<ReferenceEvent> events;  // what came of the lines so far
  std::map<std::string, std::uint64_t> unseen;  // what could not be said, how often

  std::uint32_t add_process(std::int32_t pid) {
    processes.push_back({pid, ""});
    return static_cast<std::uint32_t>(processes.size() - 1);
  }
};

struct Mapping {
  std::uint64_t end = 0;  // page after the last
  std::uint32_t file = kNoFile;
  std::uint64_t file_page = 0;
  std::uint8_t protection = 3;
  bool shared = false;
};

class TracedProcess {
 public:
  TracedProcess(TracedWorld& world, std::uint32_t number) : world_(&world), number_(number) {}

  std::uint32_t number() const { return number_; }

  // Without calls in the log nothing is known of mappings, and touches are all there is.
  void without_mappings() { knows_mappings_ = false; }

  void touch(ReferenceKind kind, std::uint64_t address, std::uint64_t size) {
    const std::uint64_t first = address >> 12;
    const std::uint64_t last = size > 1 ? (address + size - 1) >> 12 : first;
    Range& known = known_[kind == ReferenceKind::execute];
    for (std::uint64_t page = first;; ++page) {
      if (knows_mappings_ && !(page >= known.first && page < known.end)) known = known_range(page);
      ReferenceEvent& event = world_->events.emplace_back();
      event.kind = kind;
      event.process = number_;
      event.page = page;
      if (page >= last || page - first >= kMostPages) return;
    }
  }

  // A line's call; what has not ended waits for its result.
  void call(const SyscallLine& line);

  // Mappings, descriptors and directory it has before its first instruction: /proc/PID/maps of a process under Valgrind, of which
  // Valgrind's own are left out.
  void begin_with_maps(const std::string& maps);
  void begin_with_descriptor(int descriptor, const std::string& path, std::uint64_t position);
  void begin_in(const std::string& directory) { directory_ = directory; }
  void close_descriptors() { descriptors_.clear(); }

  // The child of a fork: a copy, under its own number.
  TracedProcess forked(std::uint32_t number) const;
  void end();  // exit, or an execve
  bool ended() const { return ended_; }
  void begin_image();  // after an execve

 private:
  struct Range {
    std::uint64_t first = 1, end = 0;
  };
  static constexpr std::uint64_t kMostPages = 1u << 16;  // of one access: no instruction has more

  Range known_range(std::uint64_t page);
  ReferenceEvent& emit(ReferenceKind kind);
  void run(std::uint32_t number, const SyscallArguments& arguments, std::uint64_t result);
  void opened(std::uint64_t directory, const std::string& path, std::uint64_t descriptor);
  void map(std::uint64_t page, std::uint64_t end, const Mapping& mapping);
  void unmap(std::uint64_t page, std::uint64_t end);
  void forget(std::uint64_t page, std::uint64_t end);
  void protect(std::uint64_t page, std::uint64_t end, std::uint8_t protection);
  void set_break(std::uint64_t now);
  void move(const SyscallArguments& arguments, std::uint64_t result);
  void transfer(bool write, OpenFile* open, std::uint64_t position, std::uint64_t bytes);
  void read_or_write(bool write, const SyscallArguments& arguments, std::uint64_t bytes, bool at_position);
  void vectored(bool write, const SyscallArguments& arguments, std::uint64_t bytes, bool at_position);
  void split(std::uint64_t page);
  void forget_known() { known_[0] = known_[1] = {}; }

  TracedWorld* world_;
  std::uint32_t number_;
  std::map<std::uint64_t, Mapping> mappings_;  // by first page
  Range known_[2];                             // the mapping touched last, by data and by code
  std::map<std::int32_t, std::pair<std::uint32_t, SyscallArguments>> pending_;  // by thread
  Descriptors descriptors_;
  std::string directory_;
  std::uint64_t break_ = 0, stack_page_ = 0;
  bool knows_mappings_ = true, ended_ = false;
};

}  // namespace faultline::trace
