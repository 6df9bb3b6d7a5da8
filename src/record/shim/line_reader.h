// Lines of a /proc file, read through a buffer the caller lends.
#pragma once

#include <cstddef>

#include "record/shim/raw_syscall.h"

namespace faultline::shim {

class LineReader {
 public:
  LineReader(const char* path, char* buffer, std::size_t size) : fd_(raw_open_read(path)), buffer_(buffer), size_(size) {}
  ~LineReader() {
    if (!failed(fd_)) raw_close(fd_);
  }
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  // The next line without its end, zero terminated; nullptr at the end. A line longer than the buffer comes in parts.
  const char* next() {
    if (failed(fd_)) return nullptr;
    for (;;) {
      for (std::size_t i = begin_; i < end_; ++i) {
        if (buffer_[i] != '\n') continue;
        buffer_[i] = 0;
        const char* line = buffer_ + begin_;
        begin_ = i + 1;
        return line;
      }
      if (begin_ == 0 && end_ + 1 >= size_) {
        buffer_[end_] = 0;
        begin_ = end_ = 0;
        return buffer_;
      }
      __builtin_memmove(buffer_, buffer_ + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
      const long got = raw_read(fd_, buffer_ + end_, size_ - 1 - end_);
      if (got <= 0) return nullptr;
      end_ += static_cast<std::size_t>(got);
    }
  }

 private:
  long fd_;
  char* buffer_;
  std::size_t size_, begin_ = 0, end_ = 0;
};

}  // namespace faultline::shim
