// The tool's own errors: bad input, failed I/O, bad usage. The modelled kernel's answers are mm::Errno, our bugs are FL_ASSERT.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

namespace faultline {

// One line for a person: what was wanted, what was found, and where (file, offset, record).
class Error {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}
  const std::string& message() const { return message_; }

 private:
  std::string message_;
};

// make_error("{}: wanted a faultline recording, found {}", path, what)
template <typename... Args>
Error make_error(fmt::format_string<Args...> format, Args&&... args) {
  return Error(fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace faultline
