// Plain text: a line is `R|W|X address` (hexadecimal, with or without 0x; I is X, lower case is the same); # begins a comment.
#include <bit>

#include "trace/references/hex.h"
#include "trace/references/importer.h"
#include "trace/references/line_input.h"

namespace faultline::trace {
namespace {

const char* skip_blanks(const char* at, const char* end) {
  while (at != end && (*at == ' ' || *at == '\t' || *at == '\r')) ++at;
  return at;
}

enum class Line { blank, touch, bad };

Line parse(std::string_view line, ReferenceKind& kind, std::uint64_t& address) {
  const char* const end = line.data() + line.size();
  const char* at = skip_blanks(line.data(), end);
  if (at == end || *at == '#') return Line::blank;
  switch (*at++) {
    case 'R': case 'r': kind = ReferenceKind::read; break;
    case 'W': case 'w': kind = ReferenceKind::write; break;
    case 'X': case 'x': case 'I': case 'i': kind = ReferenceKind::execute; break;
    default: return Line::bad;
  }
  const char* const number = skip_blanks(at, end);
  if (number == at) return Line::bad;
  at = number;
  if (end - at > 2 && at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) at += 2;
  at = parse_hex(at, end, address);
  if (at == nullptr) return Line::bad;
  at = skip_blanks(at, end);
  return at == end || *at == '#' ? Line::touch : Line::bad;
}

class TextSource : public ReferenceSource {
 public:
  TextSource(std::unique_ptr<ByteInput> input, unsigned shift) : lines_(std::move(input)), shift_(shift) {}

  Result<std::size_t> next(std::span<ReferenceEvent> buffer) override {
    std::size_t count = 0;
    std::string_view line;
    while (count < buffer.size()) {
      FL_TRY(const bool more, lines_.next(line));
      if (!more) break;
      ReferenceEvent event;
      std::uint64_t address = 0;
      const Line found = parse(line, event.kind, address);
      if (found == Line::bad) {
        return fail(make_error("{}: line {}: wanted 'R|W|X ADDRESS' (hexadecimal), found '{}'", lines_.name(), lines_.number(),
                               printable(line)));
      }
      if (found == Line::blank) continue;
      event.page = address >> shift_;
      buffer[count++] = event;
    }
    return count;
  }
  Result<void> rewind() override { return lines_.rewind(); }
  const std::vector<ReferenceFile>& files() const override { return none_; }
  bool has_mappings() const override { return false; }

 private:
  LineInput lines_;
  unsigned shift_;
  std::vector<ReferenceFile> none_;
};

bool sniff(std::span<const std::uint8_t> head, std::string_view) {
  // Every whole line is one; of an input that is one unfinished line, that.
  std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  bool touched = false;
  for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1)) {
    ReferenceKind kind{};
    std::uint64_t address = 0;
    const Line line = parse(text.substr(0, end), kind, address);
    if (line == Line::bad) return false;
    touched = touched || line == Line::touch;
  }
  return touched;
}

Result<std::unique_ptr<ReferenceSource>> open(std::unique_ptr<ByteInput> input, const ImportOptions& options) {
  return std::make_unique<TextSource>(std::move(input), static_cast<unsigned>(std::countr_zero(options.page_bytes)));
}

FL_REGISTER_IMPORTER(text, "text", "touches of one process; no mappings: all memory is anonymous", sniff, open);

}  // namespace
}  // namespace faultline::trace
