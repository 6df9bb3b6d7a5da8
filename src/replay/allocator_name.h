// Which object's malloc the heap model is a model of.
#pragma once

#include <string>

namespace faultline::replay {

// glibc's malloc lives in libc.so.6 (libc.a programs cannot be recorded through the dynamic symbol at all). The drop-in of
// src/malloc is the model itself.
inline bool is_glibc(const std::string& allocator) {
  const std::size_t slash = allocator.rfind('/');
  const std::string name = slash == std::string::npos ? allocator : allocator.substr(slash + 1);
  return name.starts_with("libc.so") || name == "libfaultline-malloc.so" || (name.starts_with("libc-2.") && name.ends_with(".so"));
}

}  // namespace faultline::replay
