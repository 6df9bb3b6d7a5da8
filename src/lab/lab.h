// Lab: a machine of the twin played by hand, one command a line. Text in, text out; it reads no file but those a script
// execs, and nothing it prints depends on the machine it runs on (but for what those files hold).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "lab/effects.h"
#include "lab/lab_process.h"
#include "lab/script.h"
#include "mm/machine/machine.h"

namespace faultline::lab {

struct LabOptions {
  bool echo = false;      // every line is printed before it is run, comments too
  bool picture = false;   // a picture of the address space after every command that changed it
  bool may_exec = true;   // false: exec is refused (no file is ever read)
  std::uint64_t frames = 262'144;            // of the machine, 1 GiB, unless the script says otherwise
  std::uint64_t most_frames = 4 << 20;       // a script may ask for
  std::uint64_t most_pages_at_once = 1 << 20;  // one command may touch, lock, populate or ask about: 4 GiB
  std::size_t most_processes = 64;
  std::uint64_t most_repetitions = kMostRepetitions;
};

class Lab {
 public:
  using Output = std::function<void(std::string_view)>;
  Lab(const LabOptions& options, Output output);
  ~Lab();
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;

  enum class Next : std::uint8_t { go_on, stop, expectation_failed };
  Result<Next> run_line(std::string_view line);
  // The whole text; stops at the first error ("NAME:LINE: wanted ...") and the first failed expectation.
  Result<Next> run_script(std::string_view text, std::string_view name);

  // --- for the verbs ---
  const LabOptions& options() const { return options_; }
  void print(std::string_view line);            // one line of output
  Effects& effects() { return effects_; }       // of the command at work; for views and expect: of the one before

  bool has_machine() const { return machine_ != nullptr; }
  mm::Machine& machine();                       // made at the first use
  mm::MachineConfig& config() { return config_; }       // of the machine, while there is none
  mm::ResourceLimits& limits() { return limits_; }      // of processes that are started
  void set_overcommit(mm::Overcommit mode);
  Result<mm::FileObject*> file(const std::string& name);  // must exist
  Result<mm::OpenFile*> open_file(const std::string& name);
  Result<void> add_file(const std::string& name, std::uint64_t bytes);
  std::string name_of_file(const mm::FileObject& file) const;

  Result<LabProcess*> current();                // starts `main` if no process ever was
  Result<LabProcess*> find(const std::string& name);
  const std::map<mm::Pid, std::unique_ptr<LabProcess>>& processes() const { return processes_; }
  Result<void> start_process(const std::string& name);
  Result<void> fork(const std::string& name);
  Result<void> after_exec(LabProcess& process, const std::string& path,
                          const Result<mm::elf::StartState, mm::elf::ExecFailure>& state,
                          std::map<std::uint32_t, std::string> file_names);
  Result<void> use(const std::string& name);
  void end_current(std::string_view how);       // exit, or killed
  void forget_current();                        // the machine has killed it already
  Result<void> may_add_process(const std::string& name) const;

  // body(LabProcess&): malloc at work. False when the process died of it.
  bool with_malloc(LabProcess& process, const std::function<void()>& body);
  void kill(LabProcess& process, const std::string& signal, const std::string& why);

  void set_picture(bool on) { options_.picture = on; }
  void stop() { next_ = Next::stop; }
  void expectation_failed() { next_ = Next::expectation_failed; }

 private:
  using PathCounts = std::array<std::uint64_t, mm::kFaultPaths>;
  struct Snapshot {
    std::array<std::uint64_t, mm::kFrameUses> frames{};
    std::map<std::pair<mm::Pid, unsigned>, PathCounts> paths;  // by process and the programs it has loaded
  };
  Snapshot snapshot() const;
  Result<void> run(const Statement& statement);
  Result<void> start_main();
  void note_unseen_faults(const Snapshot& before);
  void print_effects(const Snapshot& before);
  void print_picture();
  LabProcess* current_if_any() const;

  LabOptions options_;
  Output output_;
  mm::MachineConfig config_;
  mm::ResourceLimits limits_;
  mm::Overcommit overcommit_ = mm::Overcommit::guess;
  std::unique_ptr<mm::Machine> machine_;
  struct LabFile {
    mm::FileObject* object;
    mm::OpenFile* open;
  };
  std::map<std::string, LabFile> files_;
  std::map<mm::Pid, std::unique_ptr<LabProcess>> processes_;
  mm::Pid current_ = 0;  // 0: none
  bool started_ = false;
  Effects effects_;
  Next next_ = Next::go_on;
  std::string last_picture_;
};

}  // namespace faultline::lab
