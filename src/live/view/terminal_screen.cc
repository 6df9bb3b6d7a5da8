#include "live/view/terminal_screen.h"

#include <ncurses.h>

#include <algorithm>
#include <clocale>
#include <cstdlib>
#include <string>

#include "report/text.h"

namespace faultline::live {

Result<TerminalScreen> TerminalScreen::open() {
  std::setlocale(LC_CTYPE, "");  // names may be UTF-8
  SCREEN* const screen = newterm(nullptr, stdout, stdin);
  if (screen == nullptr) {
    const char* const kind = std::getenv("TERM");
    return fail(make_error("wanted a terminal whose kind is known, found TERM={}; -b prints without one", kind == nullptr ? "" : kind));
  }
  set_term(screen);
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  curs_set(0);
  set_escdelay(50);
  return TerminalScreen(screen);
}

TerminalScreen::~TerminalScreen() {
  if (handle_ == nullptr) return;
  endwin();
  delscreen(static_cast<SCREEN*>(handle_));
}

int TerminalScreen::rows() const { return getmaxy(stdscr); }
int TerminalScreen::columns() const { return getmaxx(stdscr); }
void TerminalScreen::clear() { erase(); }
void TerminalScreen::show() { refresh(); }
void TerminalScreen::repaint() { clearok(stdscr, TRUE); }

void TerminalScreen::put(int row, std::string_view text, Look look) {
  if (row < 0 || row >= rows()) return;
  const auto width = static_cast<std::size_t>(columns());
  std::string line = report::clip(text, width);
  const attr_t attributes = look == Look::bold ? A_BOLD : look == Look::dim ? A_DIM : look == Look::reverse ? A_REVERSE : A_NORMAL;
  if (look == Look::reverse) line.append(width - std::min(width, report::columns(line)), ' ');
  attrset(static_cast<int>(attributes));
  mvaddstr(row, 0, line.c_str());
  attrset(A_NORMAL);
  if (look != Look::reverse) clrtoeol();
}

int TerminalScreen::key(int milliseconds) {
  timeout(milliseconds);
  const int got = getch();
  switch (got) {
    case ERR: return static_cast<int>(Key::none);
    case KEY_RESIZE: return static_cast<int>(Key::resized);
    case KEY_UP: return static_cast<int>(Key::up);
    case KEY_DOWN: return static_cast<int>(Key::down);
    case KEY_PPAGE: return static_cast<int>(Key::page_up);
    case KEY_NPAGE: return static_cast<int>(Key::page_down);
    case KEY_HOME: return static_cast<int>(Key::home);
    case KEY_END: return static_cast<int>(Key::end);
    case KEY_ENTER:
    case '\r': return static_cast<int>(Key::enter);
    case KEY_BACKSPACE:
    case KEY_LEFT:
    case 127: return static_cast<int>(Key::escape);
    case KEY_RIGHT: return static_cast<int>(Key::enter);
    default: return got;
  }
}

}  // namespace faultline::live
