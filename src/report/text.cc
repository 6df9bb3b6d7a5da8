#include "report/text.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/assert.h"

namespace faultline::report {
namespace {

constexpr int kNarrow = 80, kWide = 120, kPlain = 100;
constexpr char kBold[] = "\033[1m", kDim[] = "\033[2m", kYellow[] = "\033[33m", kReset[] = "\033[0m";

}  // namespace

Style style_of_stdout() {
  Style style;
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  const char* no_color = std::getenv("NO_COLOR");
  style.colour = terminal && (no_color == nullptr || *no_color == '\0');
  style.width = kPlain;
  winsize size{};
  if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) style.width = size.ws_col;
  const char* wanted = std::getenv("COLUMNS");
  const bool given = wanted != nullptr && std::atoi(wanted) > 0;
  if (given) style.width = std::atoi(wanted);
  style.clip = terminal || given;
  return style;
}

std::size_t columns(std::string_view utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string clip(std::string_view utf8, std::size_t width) {
  if (columns(utf8) <= width) return std::string(utf8);
  if (width == 0) return {};
  std::size_t seen = 0, at = 0;
  while (at < utf8.size()) {
    if ((static_cast<unsigned char>(utf8[at]) & 0xc0) != 0x80 && ++seen == width) break;
    ++at;
  }
  return std::string(utf8.substr(0, at)) + "…";
}

Page::Page(Style style) : style_(style) { style_.width = std::clamp(style_.width, kNarrow, kWide); }

void Page::emit(std::string_view text, const char* colour) {
  const bool on = style_.colour && colour != nullptr;
  if (on) text_ += colour;
  text_ += text;
  if (on) text_ += kReset;
  text_ += '\n';
}

std::string Page::fit(std::string text) const { return style_.clip ? clip(text, static_cast<std::size_t>(style_.width)) : text; }

void Page::heading(std::string_view text) {
  if (!text_.empty()) text_ += '\n';
  emit(fit(std::string(text)), kBold);
}

void Page::line(std::string_view text, std::size_t indent) {
  emit(fit(std::string(indent, ' ').append(text)), nullptr);
}

void Page::dim(std::string_view text, std::size_t indent) {
  emit(fit(std::string(indent, ' ').append(text)), kDim);
}

void Page::paragraph(std::string_view text, std::size_t indent, std::size_t hanging) {
  std::string current(indent, ' ');
  bool empty = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!empty && columns(current) + 1 + columns(word) > static_cast<std::size_t>(style_.width)) {
      line(current, 0);
      current.assign(indent + hanging, ' ');
      empty = true;
    }
    if (!empty) current += ' ';
    current += word;
    empty = false;
  }
  line(current, 0);
}

void Page::warning(std::string_view text, std::size_t indent) {
  if (style_.colour) text_ += kYellow;
  paragraph(text, indent, 2);
  if (style_.colour) text_ += kReset;
}

void Table::row(std::vector<std::string> cells, std::vector<std::string> details) {
  FL_ASSERT(cells.size() == titles_.size());
  rows_.push_back({std::move(cells), std::move(details)});
}

void Table::print(Page& page) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < titles_.size(); ++i) {
    std::size_t width = columns(titles_[i]);
    for (const Row& row : rows_) width = std::max(width, columns(row.cells[i]));
    widths.push_back(width);
  }
  const auto compose = [&widths](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (i + 1 < cells.size()) text.append(widths[i] - columns(cells[i]), ' ');
      text += cells[i];
      if (i + 1 < cells.size()) text += "  ";
    }
    return text;
  };
  std::size_t last = 2;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) last += widths[i] + 2;
  page.dim(compose(titles_), 2);
  for (const Row& row : rows_) {
    page.line(compose(row.cells));
    for (const std::string& detail : row.details) page.dim(detail, last + 2);
  }
}

}  // namespace faultline::report
