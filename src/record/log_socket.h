// The way from Valgrind's processes to us: one stream socket that all of them inherit, on which the kernel says who wrote what.
// Pieces of one writer stay in order, and so do pieces of different writers: the order of a run with several processes is kept.
#pragma once

#include <sys/types.h>

#include <string_view>
#include <vector>

#include "base/result.h"
#include "record/perf_ring.h"

namespace faultline::record {

class LogSocket {
 public:
  static Result<LogSocket> open();

  // The writers' end, inherited by what is forked now. Its number is one that Valgrind keeps its client from using or closing.
  int writer() const { return writer_.get(); }
  void close_writer() { writer_ = Fd(); }
  int reader() const { return reader_.get(); }

  // What one process wrote: its pid and a text, valid until the next call. Does not wait: an empty text says that there is
  // nothing now, `ended` that there will be no more.
  struct Piece {
    pid_t pid = 0;
    std::string_view text;
    bool ended = false;
  };
  Piece read();

  // From here on somebody else reads, to nowhere: writers that are still there must not die of a closed socket.
  void drain_in_background();

 private:
  LogSocket() = default;
  Fd reader_, writer_;
  std::vector<char> buffer_;
};

}  // namespace faultline::record
