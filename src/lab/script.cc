#include "lab/script.h"

#include <algorithm>
#include <array>

#include "lab/quantity.h"

namespace faultline::lab {

namespace {

constexpr std::array<std::string_view, 6> kPlaces = {"break", "heap", "stack", "text", "data", "NULL"};

bool blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool digit(char c) { return c >= '0' && c <= '9'; }

Result<std::vector<std::string>> split(std::string_view line) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (true) {
    while (at < line.size() && blank(line[at])) ++at;
    if (at == line.size() || line[at] == '#') return words;
    std::string word;
    if (line[at] == '"') {
      const std::size_t end = line.find('"', at + 1);
      if (end == std::string_view::npos) return fail(make_error("wanted a closing \", found the end of the line"));
      word = line.substr(at + 1, end - at - 1);
      at = end + 1;
      if (at < line.size() && !blank(line[at])) return fail(make_error("wanted a blank behind \"{}\", found {}", word, quoted(line.substr(at, 1))));
    } else {
      while (at < line.size() && !blank(line[at])) word += line[at++];
    }
    words.push_back(std::move(word));
  }
}

}  // namespace

std::string quoted(std::string_view text) {
  constexpr std::size_t most = 60;
  std::string shown = "'";
  for (const char c : text.substr(0, most)) shown += c >= ' ' && c < 127 ? c : '?';
  return shown + (text.size() > most ? "...'" : "'");
}

bool is_name(std::string_view word) {
  if (word.empty() || word.size() > 40 || !(letter(word[0]) || word[0] == '%')) return false;
  if (std::find(kPlaces.begin(), kPlaces.end(), word) != kPlaces.end()) return false;
  return std::all_of(word.begin(), word.end(), [](char c) { return letter(c) || digit(c) || c == '%'; });
}

Statement Statement::iteration(std::uint64_t number) const {
  const std::string text = std::to_string(number);
  const auto replaced = [&](const std::string& word) {
    std::string made;
    for (const char c : word) c == '%' ? made += text : made += c;
    return made;
  };
  Statement one{1, replaced(name), verb, {}};
  for (const std::string& word : words) one.words.push_back(replaced(word));
  return one;
}

Result<std::optional<Statement>> parse_line(std::string_view line) {
  if (line.size() > kLongestLine) return fail(make_error("wanted a line of at most {} bytes, found {}", kLongestLine, line.size()));
  const auto odd = std::find_if(line.begin(), line.end(), [](char c) { return (c >= 0 && c < ' ' && !blank(c)) || c == 127; });
  if (odd != line.end()) {
    return fail(make_error("wanted text, found byte {:#04x} at column {}", static_cast<unsigned char>(*odd), odd - line.begin() + 1));
  }
  FL_TRY(std::vector<std::string> words, split(line));
  Statement statement;
  if (!words.empty() && words[0] == "repeat") {
    if (words.size() < 3) return fail(make_error("wanted repeat N COMMAND, found {} word{}", words.size(), words.size() == 1 ? "" : "s"));
    FL_TRY(statement.repeat, parse_number(words[1], 1, kMostRepetitions, "a number of repetitions"));
    words.erase(words.begin(), words.begin() + 2);
    if (words[0] == "repeat") return fail(make_error("wanted a command behind repeat, found another repeat"));
  }
  if (words.empty()) return std::optional<Statement>();
  if (words.size() >= 2 && words[1] == "=") {
    if (!is_name(words[0])) return fail(make_error("wanted a name such as a or block2 before =, found {}", quoted(words[0])));
    if (words.size() == 2) return fail(make_error("wanted a command behind =, found nothing"));
    statement.name = words[0];
    words.erase(words.begin(), words.begin() + 2);
  }
  statement.verb = words[0];
  words.erase(words.begin());
  statement.words = std::move(words);
  return std::optional<Statement>(std::move(statement));
}

}  // namespace faultline::lab
