#include "trace/references/syscall_line.h"

#include <charconv>

#include "trace/references/hex.h"

namespace faultline::trace {
namespace {

template <typename Number>
bool take_number(std::string_view& text, Number& value) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// One argument off the front: 0x1f, 31, -1, 1200011 (clone's flags, hexadecimal without a sign of it), 0x48(/a path).
bool take_argument(std::string_view& text, bool hexadecimal, std::uint64_t& value, std::string& string) {
  std::int64_t number = 0;
  if (take(text, "0x") || hexadecimal) {
    const char* end = parse_hex(text.data(), text.data() + text.size(), value);
    if (end == nullptr) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  } else if (take_number(text, number)) {
    value = static_cast<std::uint64_t>(number);
  } else {
    return false;
  }
  if (!take(text, "(")) return true;
  // The text may hold anything: it ends at the last ')' that an argument or the end follows.
  std::size_t end = text.rfind("), ");
  if (end == std::string_view::npos) end = text.rfind(')');
  if (end == std::string_view::npos) return false;
  string = text.substr(0, end);
  text.remove_prefix(end + 1);
  return true;
}

SyscallArguments parse_arguments(std::string_view text, bool hexadecimal_first) {
  SyscallArguments arguments;
  for (std::size_t i = 0; i < arguments.value.size(); ++i) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    if (!take_argument(text, hexadecimal_first && i == 0, arguments.value[i], arguments.text) || !take(text, ", ")) break;
  }
  return arguments;
}

constexpr std::uint32_t kClone = 56;

}  // namespace

std::optional<SyscallLine> parse_syscall_line(std::string_view line) {
  SyscallLine call;
  if (!take(line, "SYSCALL[") || !take_number(line, call.pid) || !take(line, ",") || !take_number(line, call.tid) || !take(line, "](") ||
      !take_number(line, call.number) || !take(line, ")")) {
    return std::nullopt;
  }
  if (const std::size_t at = line.find(" created child "); at != std::string_view::npos) {
    std::string_view rest = line.substr(at + 15);
    std::int32_t child = 0;
    if (take_number(rest, child)) call.child = child;
  }
  const std::size_t arrow = line.rfind(" --> ");
  if (arrow != std::string_view::npos) {
    std::string_view result = line.substr(arrow + 5);
    if (result.starts_with("[") && result.find("] ") != std::string_view::npos) result.remove_prefix(result.find("] ") + 2);
    call.succeeded = take(result, "Success(0x");
    call.ended = call.succeeded || take(result, "Failure(0x") || result.starts_with("NoWriteResult");
    if (call.ended && parse_hex(result.data(), result.data() + result.size(), call.result) == nullptr) call.result = 0;
  }
  if (!line.starts_with(" ... ")) {
    const std::size_t open = line.find('(');
    std::string_view inside = open == std::string_view::npos ? std::string_view() : line.substr(open + 1, arrow == std::string_view::npos ? arrow : arrow - open - 1);
    if (inside.ends_with("[sync]")) inside.remove_suffix(6);
    while (inside.ends_with(' ')) inside.remove_suffix(1);
    if (inside.ends_with(')')) inside.remove_suffix(1);
    while (inside.ends_with(' ')) inside.remove_suffix(1);
    call.arguments = parse_arguments(inside, call.number == kClone);
  }
  return call;
}

}  // namespace faultline::trace
