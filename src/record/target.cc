#include "record/target.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace faultline::record {
namespace {

bool is_executable_file(const std::string& path, int& error) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    error = errno;
    return false;
  }
  if (S_ISDIR(info.st_mode)) {
    error = EISDIR;
    return false;
  }
  if (access(path.c_str(), X_OK) != 0) {
    error = errno;
    return false;
  }
  return true;
}

// Reads at an offset; false if the file is shorter.
bool read_at(int fd, void* buffer, std::size_t size, std::uint64_t offset) {
  return pread(fd, buffer, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

// The interpreter of a dynamic x86-64 executable; empty if static. found says in words what else it is.
std::string elf_interpreter(int fd, std::string& found) {
  Elf64_Ehdr header;
  if (!read_at(fd, &header, sizeof header, 0) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return {};
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != EM_X86_64) {
    found = "not an x86-64 program";
    return {};
  }
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    if (!read_at(fd, &segment, sizeof segment, header.e_phoff + std::uint64_t{i} * header.e_phentsize)) break;
    if (segment.p_type != PT_INTERP || segment.p_filesz == 0 || segment.p_filesz > 4096) continue;
    std::string interpreter(segment.p_filesz, '\0');
    if (!read_at(fd, interpreter.data(), interpreter.size(), segment.p_offset)) break;
    return interpreter.c_str();
  }
  found = "statically linked";
  return {};
}

void inspect(Target& target) {
  struct stat info;
  if (stat(target.path.c_str(), &info) == 0 && (info.st_mode & (S_ISUID | S_ISGID)) != 0 && geteuid() != 0) {
    target.missing.push_back(fmt::format("malloc events: {} is setuid, the dynamic linker ignores LD_PRELOAD for it", target.path));
    return;
  }
  const int fd = open(target.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;  // executable but not readable: nothing to say before it runs
  char start[4] = {};
  std::string found;
  if (read_at(fd, start, sizeof start, 0) && std::memcmp(start, ELFMAG, SELFMAG) == 0) {
    const std::string interpreter = elf_interpreter(fd, found);
    if (!found.empty()) {
      target.missing.push_back(fmt::format("malloc events: {} is {}", target.path, found));
    } else if (interpreter.find("ld-linux") == std::string::npos) {
      target.missing.push_back(fmt::format("malloc events: {} runs under {}, not under glibc's dynamic linker", target.path, interpreter));
    }
  }
  close(fd);
}

}  // namespace

Result<Target> find_target(const std::string& command) {
  Target target;
  int error = ENOENT;
  if (command.empty()) return fail(make_error("wanted a command to run, found an empty word"));
  if (command.find('/') != std::string::npos) {
    if (!is_executable_file(command, error)) return fail(make_error("cannot run {}: {}", command, std::strerror(error)));
    target.path = command;
  } else {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/bin:/usr/bin");
    std::string folder;
    while (target.path.empty() && std::getline(folders, folder, ':')) {
      const std::string candidate = (folder.empty() ? "." : folder) + "/" + command;
      int why = 0;
      if (is_executable_file(candidate, why)) {
        target.path = candidate;
      } else if (why == EACCES) {
        error = why;
      }
    }
    if (target.path.empty()) {
      return fail(error == EACCES ? make_error("cannot run {}: found in PATH, but not executable", command)
                                  : make_error("cannot run {}: not found in PATH", command));
    }
  }
  inspect(target);
  return target;
}

}  // namespace faultline::record
