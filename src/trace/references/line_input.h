// Lines of a ByteInput, numbered from 1, without their ends.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trace/references/byte_input.h"

namespace faultline::trace {

// A line as an error message shows it.
inline std::string printable(std::string_view line) {
  std::string out;
  for (const char c : line.substr(0, 60)) out += c >= ' ' && c <= '~' ? c : '?';
  return line.size() > 60 ? out + "..." : out;
}

class LineInput {
 public:
  static constexpr std::size_t kLongest = 1u << 20;  // a longer line is no text

  explicit LineInput(std::unique_ptr<ByteInput> bytes) : bytes_(std::move(bytes)), buffer_(2 * kLongest) {}

  // False at the end. The line is valid until the next call.
  Result<bool> next(std::string_view& line) {
    for (;;) {
      const char* begin = buffer_.data() + at_;
      if (const void* end = std::memchr(begin, '\n', filled_ - at_); end != nullptr) {
        line = {begin, static_cast<std::size_t>(static_cast<const char*>(end) - begin)};
        at_ += line.size() + 1;
        ++number_;
        return true;
      }
      if (ended_) {
        line = {begin, filled_ - at_};
        at_ = filled_;
        if (line.empty()) return false;
        ++number_;
        whole_ = false;
        return true;
      }
      FL_CHECK(fill());
    }
  }
  std::uint64_t number() const { return number_; }  // of the last line
  bool whole() const { return whole_; }             // it ended with a newline
  const std::string& name() const { return bytes_->name(); }

  Result<void> rewind() {
    FL_CHECK(bytes_->rewind());
    at_ = filled_ = number_ = 0;
    ended_ = false;
    whole_ = true;
    return {};
  }

 private:
  Result<void> fill() {
    std::memmove(buffer_.data(), buffer_.data() + at_, filled_ - at_);
    filled_ -= at_;
    at_ = 0;
    if (filled_ > kLongest) return fail(make_error("{}: line {}: longer than {} bytes", name(), number_ + 1, kLongest));
    FL_TRY(const std::size_t got, bytes_->read({reinterpret_cast<std::uint8_t*>(buffer_.data()) + filled_, buffer_.size() - filled_}));
    filled_ += got;
    ended_ = got == 0;
    return {};
  }

  std::unique_ptr<ByteInput> bytes_;
  std::vector<char> buffer_;
  std::size_t at_ = 0, filled_ = 0;
  std::uint64_t number_ = 0;
  bool ended_ = false, whole_ = true;
};

}  // namespace faultline::trace
