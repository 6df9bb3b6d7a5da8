#include "lab/lab.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "lab/arguments.h"
#include "lab/built_in_program.h"
#include "lab/picture.h"
#include "lab/quantity.h"
#include "lab/verb.h"
#include "mm/backing/open_file.h"
#include "mm/elf/mmap_layout.h"

namespace faultline::lab {

Lab::Lab(const LabOptions& options, Output output) : options_(options), output_(std::move(output)) {
  config_.frames = options.frames;
}

Lab::~Lab() {
  processes_.clear();
  for (auto& [name, file] : files_) file.open->release();
}

void Lab::print(std::string_view line) {
  std::string text(line);
  output_(text += '\n');
}

mm::Machine& Lab::machine() {
  if (machine_ == nullptr) {
    machine_ = mm::Machine::create(config_);
    set_overcommit(overcommit_);
  }
  return *machine_;
}

void Lab::set_overcommit(mm::Overcommit mode) {
  overcommit_ = mode;
  if (machine_ == nullptr) return;
  mm::CommitPolicy policy;
  policy.mode = mode;
  policy.ram_pages = config_.frames;
  machine_->frames().commit().set_policy(policy);
}

// --- files ---

Result<void> Lab::add_file(const std::string& name, std::uint64_t bytes) {
  if (files_.contains(name)) return fail(make_error("file: wanted a new name, found {}: there is such a file", quoted(name)));
  mm::FileObject& object = machine().create_file({.type = mm::FileType::disk, .size = bytes});
  files_.emplace(name, LabFile{&object, mm::OpenFile::open(object, true, mm::ReadAheadLimits{})});
  return {};
}

Result<mm::FileObject*> Lab::file(const std::string& name) {
  const auto found = files_.find(name);
  if (found == files_.end()) return fail(make_error("wanted a file, found {}: `file NAME SIZE` makes one", quoted(name)));
  return found->second.object;
}

Result<mm::OpenFile*> Lab::open_file(const std::string& name) {
  FL_CHECK(file(name));
  return files_.at(name).open;
}

std::string Lab::name_of_file(const mm::FileObject& file) const {
  for (const auto& [name, one] : files_) {
    if (one.object == &file) return name;
  }
  return "shared memory";
}

// --- processes ---

LabProcess* Lab::current_if_any() const {
  const auto found = processes_.find(current_);
  return found == processes_.end() ? nullptr : found->second.get();
}

Result<LabProcess*> Lab::current() {
  if (!started_) FL_CHECK(start_process("main"));
  if (LabProcess* process = current_if_any()) return process;
  return fail(make_error("wanted a process to act on, found none alive: `process NAME` starts one"));
}

Result<LabProcess*> Lab::find(const std::string& name) {
  for (const auto& [pid, process] : processes_) {
    if (process->name() == name) return process.get();
  }
  return fail(make_error("wanted a process, found {}: none of that name is alive", quoted(name)));
}

Result<void> Lab::may_add_process(const std::string& name) const {
  if (processes_.size() >= options_.most_processes) return fail(make_error("wanted at most {} processes, found one more", options_.most_processes));
  for (const auto& [pid, process] : processes_) {
    if (process->name() == name) return fail(make_error("wanted a new name for a process, found {}: one of that name is alive", quoted(name)));
  }
  return {};
}

Result<void> Lab::start_process(const std::string& name) {
  FL_CHECK(may_add_process(name));
  started_ = true;
  if (machine().frames().available() < 2) return fail(make_error("wanted two frames to start a process with, found none free"));
  mm::Process& process = machine().start(mm::elf::layout_at_start(config_.profile, limits_), limits_);
  const mm::Pid pid = process.pid();
  const std::vector<std::uint8_t> bytes = built_in_program();
  const auto file = mm::elf::ElfFile::parse(bytes, mm::elf::Role::program);
  FL_ASSERT(file);
  const mm::elf::ExecFile image{&*file, 1, false};
  mm::elf::StartArguments arguments;
  arguments.filename = "/bin/" + name;
  arguments.argv = {name};
  auto state = machine().execve(pid, image, nullptr, arguments);
  if (!state) {
    effects_.refuse(state.error().error);
    if (!state.error().kills) machine().exit(pid);
    return fail(make_error("wanted limits under which a program starts, found none: execve answers {}", name_of(state.error().error)));
  }
  auto made = std::make_unique<LabProcess>(name, process);
  made->loaded(name, {{1, name}}, std::move(*state));
  processes_[pid] = std::move(made);
  current_ = pid;
  effects_.first_note(fmt::format("process {} has pid {}", name, pid));
  return {};
}

Result<void> Lab::fork(const std::string& name) {
  FL_CHECK(may_add_process(name));
  FL_TRY(const LabProcess* parent, current());
  const auto forked = machine().fork(parent->process().pid());
  if (!forked) {
    effects_.refuse(forked.error());
    effects_.call("fork", fmt::format("fork() = {}", name_of(forked.error())));
    return {};
  }
  effects_.call("fork", fmt::format("fork() = {}", *forked));
  processes_[*forked] = std::make_unique<LabProcess>(name, machine().process(*forked), *parent);
  effects_.note(fmt::format("process {} has pid {}; `use {}` makes it the current one", name, *forked, name));
  return {};
}

Result<void> Lab::after_exec(LabProcess& process, const std::string& path,
                             const Result<mm::elf::StartState, mm::elf::ExecFailure>& state,
                             std::map<std::uint32_t, std::string> file_names) {
  if (state) {
    effects_.call("execve", fmt::format("execve({}) = 0", path));
    effects_.first_note(fmt::format("process {} runs {}: first instruction at {:#x}, stack pointer {:#x}", process.name(), path,
                                    state->entry, state->stack_pointer));
    process.loaded(path, std::move(file_names), *state);
    return {};
  }
  effects_.refuse(state.error().error);
  effects_.call("execve", fmt::format("execve({}) = {}", path, name_of(state.error().error)));
  if (!state.error().kills) return {};
  effects_.signal("SIGSEGV");
  effects_.note(fmt::format("SIGSEGV: the old program was gone already ({})", name_of(state.error().error)));
  forget_current();
  return {};
}

Result<void> Lab::use(const std::string& name) {
  FL_TRY(const LabProcess* process, find(name));
  current_ = process->process().pid();
  return {};
}

void Lab::forget_current() {
  const LabProcess* gone = current_if_any();
  FL_ASSERT(gone != nullptr);
  const mm::Pid parent = machine_->find(current_) != nullptr ? machine_->process(current_).parent() : 0;
  processes_.erase(current_);
  current_ = processes_.contains(parent) ? parent : processes_.empty() ? 0 : processes_.begin()->first;
}

void Lab::end_current(std::string_view how) {
  const LabProcess* gone = current_if_any();
  FL_ASSERT(gone != nullptr);
  const std::string name = gone->name();
  const mm::Pid pid = current_;
  forget_current();
  const mm::FaultCounters counted = machine_->exit(pid);
  const LabProcess* next = current_if_any();
  effects_.note(fmt::format("process {} {}: minflt {}, majflt {}; {}", name, how, counted.minor, counted.major,
                            next == nullptr ? "no process is left" : fmt::format("the current process is {}", next->name())));
}

void Lab::kill(LabProcess& process, const std::string& signal, const std::string& why) {
  FL_ASSERT(process.process().pid() == current_);
  effects_.signal(signal);
  effects_.note(fmt::format("{}: {}", signal, why));
  end_current("is killed");
}

bool Lab::with_malloc(LabProcess& process, const std::function<void()>& body) {
  process.memory().report_to(&effects_);
  try {
    process.process().run([&](mm::AddressSpace&) { body(); });
  } catch (const Doomed& doomed) {
    kill(process, doomed.signal, doomed.why);
    return false;
  }
  return true;
}

// --- running ---

Lab::Snapshot Lab::snapshot() const {
  Snapshot now;
  if (machine_ == nullptr) return now;
  for (std::size_t use = 0; use < mm::kFrameUses; ++use) now.frames[use] = machine_->frames().count(static_cast<mm::FrameUse>(use));
  for (const auto& [pid, process] : processes_) {
    PathCounts& paths = now.paths[{pid, process->programs_loaded()}];
    for (const mm::TagStatistics& tag : process->space().statistics().by_tag) {
      for (std::size_t path = 0; path < mm::kFaultPaths; ++path) paths[path] += tag.faults[path];
    }
  }
  return now;
}

// Faults inside a system call (MAP_POPULATE, mlock, execve) show only in the counters.
void Lab::note_unseen_faults(const Snapshot& before) {
  PathCounts happened{};
  for (const auto& [process, paths] : snapshot().paths) {
    const auto then = before.paths.find(process);
    for (std::size_t path = 0; path < mm::kFaultPaths; ++path) {
      happened[path] += paths[path] - (then == before.paths.end() ? 0 : then->second[path]);
    }
  }
  for (std::size_t path = 0; path < mm::kFaultPaths; ++path) {
    if (happened[path] > effects_.seen(static_cast<mm::FaultPath>(path))) {
      effects_.kernel_faults(happened[path] - effects_.seen(static_cast<mm::FaultPath>(path)), static_cast<mm::FaultPath>(path));
    }
  }
}

void Lab::print_effects(const Snapshot& before) {
  for (const std::string& line : effects_.to_lines()) print("  " + line);
  static constexpr std::array<std::string_view, mm::kFrameUses> names = {"", "", "anonymous", "file", "page table", "shared"};
  const Snapshot now = snapshot();
  std::string changes;
  std::uint64_t in_use = 0;
  for (std::size_t use = 2; use < mm::kFrameUses; ++use) {
    in_use += now.frames[use];
    if (now.frames[use] == before.frames[use]) continue;
    const bool more = now.frames[use] > before.frames[use];
    changes += fmt::format("{}{}{} {}", changes.empty() ? "" : ", ", more ? "+" : "-",
                           more ? now.frames[use] - before.frames[use] : before.frames[use] - now.frames[use], names[use]);
  }
  if (!changes.empty()) print(fmt::format("  frames: {}; {} in use", changes, in_use));
}

void Lab::print_picture() {
  LabProcess* const process = current_if_any();
  if (process == nullptr) return;
  std::string picture;
  for (const std::string& line : picture_of(*this, *process)) picture += "  | " + line + "\n";
  if (picture == last_picture_) return;
  last_picture_ = picture;
  output_(picture);
}

Result<void> Lab::run(const Statement& statement) {
  const Verb* verb = find_verb(statement.verb);
  if (verb == nullptr) return fail(make_error("wanted a command, found {}: `help` lists them", quoted(statement.verb)));
  if (!statement.name.empty() && verb->gives != Verb::Result::address) {
    return fail(make_error("wanted {} without a name in front, found '{} ='", statement.verb, statement.name));
  }
  if (statement.repeat > options_.most_repetitions) {
    return fail(make_error("wanted at most {} repetitions, found {}", options_.most_repetitions, statement.repeat));
  }
  for (std::uint64_t i = 1; i <= statement.repeat; ++i) {
    const Statement one = statement.iteration(i);
    Arguments arguments(*this, one);
    FL_CHECK(verb->run(*this, arguments));
    FL_CHECK(arguments.end());
    if (next_ != Next::go_on) break;
  }
  return {};
}

// The first command that needs a process finds one; what starting it did is told apart.
Result<void> Lab::start_main() {
  effects_ = Effects{};
  const Snapshot before = snapshot();
  FL_CHECK(start_process("main"));
  note_unseen_faults(before);
  print_effects(before);
  return {};
}

Result<Lab::Next> Lab::run_line(std::string_view line) {
  FL_TRY(const std::optional<Statement> statement, parse_line(line));
  if (!statement) {
    if (options_.echo) print(line);
    return Next::go_on;
  }
  if (options_.echo) print(fmt::format("> {}", line));
  const Verb* verb = find_verb(statement->verb);
  const bool looks_only = verb != nullptr && verb->looks_only;
  if (verb != nullptr && verb->needs_process && !started_) FL_CHECK(start_main());
  if (!looks_only) effects_ = Effects{};
  next_ = Next::go_on;
  const Snapshot before = snapshot();
  FL_CHECK(run(*statement));
  if (looks_only) return next_;
  note_unseen_faults(before);
  print_effects(before);
  if (options_.picture) print_picture();
  return next_;
}

Result<Lab::Next> Lab::run_script(std::string_view text, std::string_view name) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    ++number;
    const Result<Next> next = run_line(text.substr(0, end));
    if (!next) return fail(make_error("{}:{}: {}", name, number, next.error().message()));
    if (*next == Next::expectation_failed) print(fmt::format("{}:{}: the expectation failed", name, number));
    if (*next != Next::go_on) return *next;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return Next::go_on;
}

}  // namespace faultline::lab
