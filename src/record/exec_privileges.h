// Whether execve would give a traced program privileges that its tracer takes from it: security/commoncap.c, cap_bprm_creds_from_file.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace faultline::record {

// Whoever has CAP_SYS_PTRACE may trace privileged programs: they keep what the file gives them. As of now, as the kernel notes at attaching.
bool may_trace_privileged();

// Whether execve of this file raises privileges: setuid, setgid or file capabilities, also of the interpreter that a script names. As execveat(2):
// directory is AT_FDCWD or a descriptor of the thread, the path is read from its memory. True, too, if we may not look.
bool raises_privileges(pid_t tid, int directory, std::uint64_t path_address);

}  // namespace faultline::record
