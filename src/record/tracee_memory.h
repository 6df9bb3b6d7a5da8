// What a stopped thread's arguments point to, and what /proc says of it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace faultline::record {

// False if not all of it can be read.
bool read_tracee(pid_t tid, std::uint64_t address, void* out, std::size_t size);

// The process a thread belongs to; the thread itself if it cannot be told.
pid_t process_of(pid_t tid);

// Whether execve of this file gives it privileges the caller lacks: setuid, setgid or file capabilities. As execveat(2): directory
// is AT_FDCWD or a descriptor of the thread, the path is read from its memory.
bool raises_privileges(pid_t tid, int directory, std::uint64_t path_address);

}  // namespace faultline::record
