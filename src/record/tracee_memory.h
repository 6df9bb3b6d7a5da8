// What a stopped thread's arguments point to, and what /proc says of it. To be called by the thread that traces it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace faultline::record {

// False if not all of it can be read: errno is EFAULT where there is nothing, EPERM where we may not look.
bool read_tracee(pid_t tid, std::uint64_t address, void* out, std::size_t size);

// A path, up to its end; false as above.
bool read_tracee_path(pid_t tid, std::uint64_t address, std::string& out);

// The process a thread belongs to; the thread itself if it cannot be told.
pid_t process_of(pid_t tid);

}  // namespace faultline::record
