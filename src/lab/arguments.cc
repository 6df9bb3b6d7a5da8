#include "lab/arguments.h"

#include "lab/lab.h"

namespace faultline::lab {

bool Arguments::accept(std::string_view word) {
  if (done() || peek() != word) return false;
  ++at_;
  return true;
}

Result<std::string> Arguments::word(std::string_view wanted) {
  if (done()) return fail(make_error("{}: wanted {}, found the end of the line", verb(), wanted));
  return statement_.words[at_++];
}

Result<std::string> Arguments::new_name(std::string_view wanted) {
  FL_TRY(const std::string name, word(wanted));
  if (!is_name(name)) return fail(make_error("{}: wanted {}, found {}", verb(), wanted, quoted(name)));
  return name;
}

Result<std::uint64_t> Arguments::size(std::string_view wanted) {
  FL_TRY(const std::string text, word(wanted));
  const Result<std::uint64_t> parsed = parse_size(text, wanted);
  if (!parsed) return fail(make_error("{}: {}", verb(), parsed.error().message()));
  return *parsed;
}

Result<std::uint64_t> Arguments::number(std::uint64_t low, std::uint64_t high, std::string_view wanted) {
  FL_TRY(const std::string text, word(wanted));
  const Result<std::uint64_t> parsed = parse_number(text, low, high, wanted);
  if (!parsed) return fail(make_error("{}: {}", verb(), parsed.error().message()));
  return *parsed;
}

Result<std::uint64_t> Arguments::term(std::string_view word, std::string_view whole, std::string_view wanted) {
  const auto wrong = [&] { return fail(make_error("{}: wanted {}, found {}", verb(), wanted, quoted(whole))); };
  if (word.empty()) return wrong();
  if (word[0] >= '0' && word[0] <= '9') {
    const Result<std::uint64_t> number = parse_size(word);
    if (!number) return wrong();
    return *number;
  }
  FL_TRY(const LabProcess* process, lab_.current());
  if (word == "NULL") return std::uint64_t{0};
  if (word == "break") return process->space().current_brk().value;
  if (word == "heap") return process->space().start_brk().value;
  if (word == "stack") return process->start().stack_pointer;
  if (word == "text") return process->start().start_code;
  if (word == "data") return process->start().start_data;
  const Block* block = process->find_block(std::string(word));
  if (block == nullptr) return fail(make_error("{}: wanted {}, found {}: process {} has no block of that name", verb(), wanted, quoted(word), process->name()));
  return block->address;
}

Result<std::uint64_t> Arguments::evaluate(std::string_view expression, std::string_view wanted) {
  std::uint64_t value = 0;
  char sign = '+';
  for (std::size_t at = 0; at <= expression.size();) {
    std::size_t end = expression.find_first_of("+-", at);
    if (end == std::string_view::npos) end = expression.size();
    FL_TRY(const std::uint64_t operand, term(expression.substr(at, end - at), expression, wanted));
    const std::uint64_t next = sign == '+' ? value + operand : value - operand;
    if (sign == '+' ? next < value : next > value) {
      return fail(make_error("{}: wanted {} between 0 and 2^64, found {}", verb(), wanted, quoted(expression)));
    }
    value = next;
    if (end == expression.size()) return value;
    sign = expression[end];
    at = end + 1;
  }
  return fail(make_error("{}: wanted {}, found {}", verb(), wanted, quoted(expression)));
}

Result<std::uint64_t> Arguments::address(std::string_view wanted) {
  FL_TRY(const std::string expression, word(wanted));
  return evaluate(expression, wanted);
}

Result<Range> Arguments::range(std::uint64_t default_length) {
  FL_TRY(const std::string expression, word("a block or an address"));
  FL_TRY(const std::uint64_t start, evaluate(expression, "a block or an address"));
  Range range{start, default_length};
  if (!done() && peek()[0] >= '0' && peek()[0] <= '9') {
    FL_TRY(range.length, size("a length"));
  } else if (is_name(expression)) {
    FL_TRY(const LabProcess* process, lab_.current());
    if (const Block* block = process->find_block(expression); block->address != 0) range.length = block->size;
  } else if (default_length == 0) {
    return fail(make_error("{}: wanted a length behind {}, found {}", verb(), quoted(expression), done() ? "the end of the line" : quoted(peek())));
  }
  if (range.length > ~std::uint64_t{0} - start) {
    return fail(make_error("{}: wanted a range that ends below 2^64, found {:#x} and {}", verb(), start, size_text(range.length)));
  }
  return range;
}

Result<std::string> Arguments::block_name(std::string_view wanted) {
  FL_TRY(const std::string name, word(wanted));
  FL_TRY(const LabProcess* process, lab_.current());
  if (process->find_block(name) == nullptr) {
    return fail(make_error("{}: wanted {}, found {}: process {} has no block of that name", verb(), wanted, quoted(name), process->name()));
  }
  return name;
}

Result<void> Arguments::end() const {
  if (done()) return {};
  return fail(make_error("{}: wanted the end of the line, found {}", verb(), quoted(peek())));
}

}  // namespace faultline::lab
