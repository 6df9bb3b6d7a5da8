// The processes of a command under lackey: who wrote which line, who was forked by whom, and what each had mapped before its first
// instruction.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>

#include "trace/references/lackey_log.h"

namespace faultline::record {

class LackeyProcesses : public trace::ReferenceSource, private trace::LackeyLog::Reader {
 public:
  LackeyProcesses(pid_t first, int first_of_valgrind) : first_of_valgrind_(first_of_valgrind) { add(first, nullptr); }

  void feed(pid_t pid, std::string_view text);
  // Ends all that did not say so. `running`: those of them that still run, which is said in a remark.
  void finish(std::size_t running);
  std::size_t still_running(pid_t except) const;

  std::vector<trace::ReferenceEvent>& events() { return world_.events; }

  // The names of what came so far, for a writer; the events are taken from events().
  Result<std::size_t> next(std::span<trace::ReferenceEvent>) override { return 0; }
  Result<void> rewind() override { return fail(make_error("a running program cannot be read again")); }
  const std::vector<trace::ReferenceFile>& files() const override { return world_.files.all(); }
  const std::vector<trace::ReferenceProcess>& processes() const override { return world_.processes; }
  bool has_mappings() const override { return true; }
  std::uint64_t dropped() const override { return dropped_; }
  std::vector<std::string> remarks() const override;
  void set_dropped(std::uint64_t dropped) { dropped_ = dropped; }

 private:
  struct Log {
    std::unique_ptr<trace::LackeyLog> log;
    std::string unfinished;  // a line whose end has not come
  };

  Log& add(pid_t pid, trace::TracedProcess* parent);
  Log& log_of(pid_t pid);
  void line(Log& log, std::string_view text);
  void image_begins(trace::TracedProcess& process, std::int32_t pid) override;
  void forked(trace::TracedProcess& parent, std::int32_t child) override;

  int first_of_valgrind_;  // descriptors from here on are Valgrind's own
  trace::TracedWorld world_;
  std::map<pid_t, Log> logs_;
  pid_t latest_pid_ = 0;
  Log* latest_ = nullptr;
  std::uint64_t dropped_ = 0;
};

}  // namespace faultline::record
