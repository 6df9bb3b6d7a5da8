// The program must not see that it is recorded: our variables leave its environment at the start and come back only in the
// environments of its children.
#pragma once

#include <cstddef>

namespace faultline::shim {

// Value of a variable in the untouched environment (before take_own_variables), or nullptr.
const char* variable_in_environment(const char* name);

// Remembers LD_PRELOAD's shim entry and FAULTLINE_*, and removes them from environ in place. No allocation, no setenv.
void take_own_variables();

// FAULTLINE_SOCKET's value, nullptr if there was none.
const char* socket_name();

// Bytes a child's environment made from envp needs; 0: nothing to add, hand envp on as it is.
std::size_t child_environment_bytes(char* const* envp);
// Builds it in `memory` (pointer array, then the LD_PRELOAD string). envp's strings are shared, not copied.
char** build_child_environment(char* const* envp, void* memory);

// system(3) and popen(3) use libc's environ: it is exchanged while at least one such call runs. A setenv of another thread in
// that time that changes an existing variable is lost; one that adds a variable is kept.
void lend_variables_to_environ();
void take_back_variables_from_environ();

}  // namespace faultline::shim
