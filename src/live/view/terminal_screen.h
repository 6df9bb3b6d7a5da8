// The terminal while a full-screen command has it: lines put at rows, keys read with a time limit. ncurses behind it.
#pragma once

#include <string_view>

#include "base/result.h"

namespace faultline::live {

enum class Look : std::uint8_t { plain, bold, dim, reverse };
enum class Key : int { none = -1, resized = -2, up = -3, down = -4, page_up = -5, page_down = -6, home = -7, end = -8, enter = '\n', escape = 27 };

class TerminalScreen {
 public:
  static Result<TerminalScreen> open();
  TerminalScreen(TerminalScreen&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  TerminalScreen& operator=(TerminalScreen&&) = delete;
  ~TerminalScreen();  // the terminal is as it was before

  int rows() const;
  int columns() const;
  void clear();
  void put(int row, std::string_view text, Look look);  // the rest of the row is blank; what does not fit is cut off
  void show();
  int key(int milliseconds);  // a character, or one of Key
  void repaint();             // as if nothing were on the terminal

 private:
  explicit TerminalScreen(void* handle) : handle_(handle) {}
  void* handle_;
};

}  // namespace faultline::live
