// process, fork, use, exit, exec.
#include <fmt/format.h>

#include "lab/program_file.h"
#include "lab/verb.h"
#include "mm/elf/script.h"

namespace faultline::lab {

namespace {

Result<void> process(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.new_name("a name for the process"));
  return lab.start_process(name);
}

Result<void> fork(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.new_name("a name for the child"));
  return lab.fork(name);
}

Result<void> use(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string name, arguments.word("a process"));
  return lab.use(name);
}

Result<void> exit(Lab& lab, Arguments&) {
  FL_CHECK(lab.current());
  lab.end_current("exits");
  return {};
}

Error unusable(const std::string& path, const mm::elf::Refusal& refusal) {
  return make_error("exec: {}: {} ({})", path, refusal.place.message(), name_of(refusal.error));
}

Result<void> exec(Lab& lab, Arguments& arguments) {
  FL_TRY(const std::string path, arguments.word("a program's path"));
  if (!lab.options().may_exec) return fail(make_error("exec: wanted a lab that may read files, found one that may not"));
  mm::elf::StartArguments start;
  start.filename = path;
  start.argv = {path};
  while (!arguments.done()) start.argv.push_back(*arguments.word("an argument"));
  FL_TRY(LabProcess* const process, lab.current());

  if (lab.machine().frames().available() == 0) {  // a new address space takes one for its root table
    lab.effects().refuse(mm::Errno::nomem);
    lab.effects().call("execve", fmt::format("execve({}) = ENOMEM", path));
    return {};
  }

  std::string name = path;
  FL_TRY(FileBytes first, FileBytes::open(path));
  std::unique_ptr<FileBytes> file = std::make_unique<FileBytes>(std::move(first));
  while (const auto script = mm::elf::ScriptLine::parse(file->bytes())) {
    if (start.scripts.size() == 5) return fail(make_error("exec: {}: wanted a program behind at most 5 scripts, found another script", path));
    start.scripts.push_back(*script);
    name = script->interpreter;
    FL_TRY(FileBytes next, FileBytes::open(name));
    file = std::make_unique<FileBytes>(std::move(next));
  }
  const auto program = mm::elf::ElfFile::parse(file->bytes(), mm::elf::Role::program);
  if (!program) return fail(unusable(name, program.error()));
  mm::elf::ExecFile image{&*program, 1, file->aligns_huge()};
  std::map<std::uint32_t, std::string> names = {{1, name}};
  if (!program->interpreter()) {
    const auto state = lab.machine().execve(process->process().pid(), image, nullptr, start);
    return lab.after_exec(*process, path, state, std::move(names));
  }
  FL_TRY(const FileBytes interpreter_file, FileBytes::open(*program->interpreter()));
  const auto interpreter = mm::elf::ElfFile::parse(interpreter_file.bytes(), mm::elf::Role::interpreter);
  if (!interpreter) return fail(unusable(*program->interpreter(), interpreter.error()));
  const bool same = interpreter_file.inode() == file->inode();
  const mm::elf::ExecFile second{&*interpreter, same ? 1u : 2u, interpreter_file.aligns_huge()};
  if (!same) names[2] = *program->interpreter();
  const auto state = lab.machine().execve(process->process().pid(), image, &second, start);
  return lab.after_exec(*process, path, state, std::move(names));
}

constexpr Verb kVerbs[] = {
    {"process", "NAME", "a new process runs the lab's own little program; it becomes the current one", process, Verb::Result::none, false, false},
    {"fork", "NAME", "the current process forks; its child is called NAME", fork},
    {"use", "NAME", "that process is the current one from now on", use},
    {"exit", "", "the current process ends; its parent, if alive, is the current one", exit},
    {"exec", "FILE ARG...", "the current process execs a real program file (ELF or #! script), up to its first instruction", exec},
};

}  // namespace

std::span<const Verb> process_verbs() { return kVerbs; }

}  // namespace faultline::lab
