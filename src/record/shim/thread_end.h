// The end of a thread, where glibc empties the thread's cache into its arena behind everything that can be interposed
// (start_thread: destructors of thread-specific data, then __libc_thread_freeres). With turns it happens in the thread's last one.
#pragma once

namespace faultline::shim {

// For the calling thread. May be called again.
void watch_thread_end();

}  // namespace faultline::shim
