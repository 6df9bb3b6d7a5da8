// mm::Errno: the modelled kernel's refusals, with Linux's own numbers (include/uapi/asm-generic/errno-base.h).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace faultline::mm {

enum class Errno : std::int32_t {
  perm = 1,
  io = 5,
  too_big = 7,
  noexec = 8,
  badf = 9,
  again = 11,
  nomem = 12,
  acces = 13,
  fault = 14,
  busy = 16,
  exist = 17,
  inval = 22,
  overflow = 75,
  libbad = 80,
};

constexpr std::string_view name_of(Errno error) {
  switch (error) {
    case Errno::perm: return "EPERM";
    case Errno::io: return "EIO";
    case Errno::too_big: return "E2BIG";
    case Errno::noexec: return "ENOEXEC";
    case Errno::badf: return "EBADF";
    case Errno::again: return "EAGAIN";
    case Errno::nomem: return "ENOMEM";
    case Errno::acces: return "EACCES";
    case Errno::fault: return "EFAULT";
    case Errno::busy: return "EBUSY";
    case Errno::exist: return "EEXIST";
    case Errno::inval: return "EINVAL";
    case Errno::overflow: return "EOVERFLOW";
    case Errno::libbad: return "ELIBBAD";
  }
  return "E?";
}

}  // namespace faultline::mm
