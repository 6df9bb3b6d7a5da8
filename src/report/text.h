// A page of text for a terminal: clipped to its width, coloured only if asked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace faultline::report {

struct Style {
  int width = 100;  // columns; kept within 80 and 120
  bool clip = true;  // lines end there; else they may be longer, paragraphs still wrap
  bool colour = false;
};

// What stdout is: its width (COLUMNS wins), clipped only where that is known (a file or pipe keeps everything), and colour only on a
// terminal without NO_COLOR (no-color.org).
Style style_of_stdout();

std::size_t columns(std::string_view utf8);  // every code point is one column
std::string clip(std::string_view utf8, std::size_t width);  // too long: the end becomes "…"

class Page {
 public:
  explicit Page(Style style);

  void heading(std::string_view text);
  void line(std::string_view text = {}, std::size_t indent = 2);       // clipped
  void dim(std::string_view text, std::size_t indent);                 // clipped, secondary
  void paragraph(std::string_view text, std::size_t indent, std::size_t hanging = 0);  // wrapped at blanks
  void warning(std::string_view text, std::size_t indent = 2);         // wrapped
  const std::string& text() const { return text_; }
  const Style& style() const { return style_; }

 private:
  Style style_;
  std::string text_;
  std::string fit(std::string text) const;
  void emit(std::string_view text, const char* colour);
};

// Columns of numbers, right-aligned, before a last column of free text that takes the rest of the line.
class Table {
 public:
  explicit Table(std::vector<std::string> titles) : titles_(std::move(titles)) {}
  void row(std::vector<std::string> cells, std::vector<std::string> details = {});  // details: dim lines under the last column
  void print(Page& page) const;

 private:
  struct Row {
    std::vector<std::string> cells, details;
  };
  std::vector<std::string> titles_;
  std::vector<Row> rows_;
};

}  // namespace faultline::report
