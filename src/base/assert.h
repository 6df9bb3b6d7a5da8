// FL_ASSERT: a broken invariant is our bug. It stays on in release builds.
#pragma once

namespace faultline {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);

}  // namespace faultline

#define FL_ASSERT(condition) \
  (static_cast<bool>(condition) ? void(0) : ::faultline::assertion_failed(#condition, __FILE__, __LINE__))
