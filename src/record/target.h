// What CMD is: where PATH finds it, and whether the shim can enter it.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace faultline::record {

struct Target {
  std::string path;                  // what execve gets
  std::vector<std::string> missing;  // one line each: what cannot be recorded of it, and why
};

// As execvp(3) would find it. Fails when nothing could be run: not found, not executable, a directory.
Result<Target> find_target(const std::string& command);

}  // namespace faultline::record
