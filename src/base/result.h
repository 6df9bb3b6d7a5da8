// Result<T, E>: a value or an error. Result<T, Error> is our own I/O or bad input; Result<T, mm::Errno> is the modelled kernel's answer.
#pragma once

#include <tl/expected.hpp>

#include "base/error.h"

namespace faultline {

template <typename T, typename E = Error>
using Result = tl::expected<T, E>;

template <typename E>
auto fail(E&& error) {
  return tl::make_unexpected(std::forward<E>(error));
}

}  // namespace faultline

#define FL_CONCAT_INNER(a, b) a##b
#define FL_CONCAT(a, b) FL_CONCAT_INNER(a, b)

// FL_TRY(auto value, expression): returns the error from the enclosing function, or binds the value.
#define FL_TRY(declaration, expression)                                              \
  auto FL_CONCAT(fl_result_, __LINE__) = (expression);                               \
  if (!FL_CONCAT(fl_result_, __LINE__)) {                                            \
    return ::faultline::fail(std::move(FL_CONCAT(fl_result_, __LINE__)).error());    \
  }                                                                                  \
  declaration = std::move(*FL_CONCAT(fl_result_, __LINE__))

// FL_CHECK(expression): the same for Result<void>.
#define FL_CHECK(expression)                                                         \
  do {                                                                               \
    auto fl_result = (expression);                                                   \
    if (!fl_result) return ::faultline::fail(std::move(fl_result).error());          \
  } while (false)
