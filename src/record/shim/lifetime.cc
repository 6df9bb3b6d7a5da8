// The shim's own beginning and end, and dlclose.
#include <stdlib.h>
#include <unistd.h>

#include "record/shim/encoder.h"
#include "record/shim/exit_record.h"
#include "record/shim/modules.h"
#include "record/shim/process.h"
#include "record/shim/real_functions.h"

using namespace faultline::shim;

#define FL_EXPORT extern "C" __attribute__((visibility("default"), noinline))

namespace {

// Usually an allocation of libstdc++ or ld.so came first; a program that never allocates is recorded all the same.
__attribute__((constructor)) void begin() { current_ring(); }
__attribute__((destructor)) void end() { report_exit(); }

}  // namespace

FL_EXPORT void _exit(int status) {
  report_exit();
  ensure_real_functions();
  real.exit_now(status);
  __builtin_unreachable();
}

FL_EXPORT void _Exit(int status) noexcept { _exit(status); }

FL_EXPORT void quick_exit(int status) noexcept {
  report_exit();
  ensure_real_functions();
  real.quick_exit(status);
  __builtin_unreachable();
}

FL_EXPORT int dlclose(void* handle) noexcept {
  ensure_real_functions();
  const int status = real.dlclose(handle);
  forget_code();
  ThreadRing* ring = process_is_recording() ? current_ring() : nullptr;
  const BusyRing busy(ring);
  if (!busy) return status;
  forget_announced_modules();
  if (std::uint8_t* out = reserve(*ring, 16)) {
    const std::uint64_t now = ticks();
    *out++ = static_cast<std::uint8_t>(faultline::wire::RecordKind::modules_stale);
    out = faultline::wire::put_varint(out, now - ring->last_tsc);
    ring->last_tsc = now;
    commit(*ring, out);
  }
  return status;
}
