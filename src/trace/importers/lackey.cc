// Valgrind's lackey: `valgrind --tool=lackey --trace-mem=yes [--trace-syscalls=yes] --log-file=FILE CMD`. With the system calls the
// stream has mappings and files. What the kernel and Valgrind mapped before the first instruction (the program and its loader) is in
// no log: `faultline record --references exact` looks there, an import takes those pages as anonymous memory.
#include <algorithm>

#include "trace/references/importer.h"
#include "trace/references/lackey_log.h"
#include "trace/references/line_input.h"

namespace faultline::trace {
namespace {

constexpr std::size_t kLookForCalls = 1u << 20;  // a loader's first call is some 30,000 lines in

class LackeySource : public ReferenceSource, private LackeyLog::Reader {
 public:
  LackeySource(std::unique_ptr<ByteInput> input, bool mappings) : lines_(std::move(input)), mappings_(mappings) { begin(); }

  Result<std::size_t> next(std::span<ReferenceEvent> buffer) override {
    std::string_view line;
    std::vector<ReferenceEvent>& events = world_.events;
    if (at_ == events.size()) {
      events.clear();
      at_ = 0;
    }
    while (!ended_ && events.size() < buffer.size()) {
      FL_TRY(const bool more, lines_.next(line));
      if (!more) {
        ended_ = true;
        if (mappings_) log_->process().end();
        break;
      }
      if (!log_->line(line) && lines_.whole()) {  // the last line of a log that was cut is no fault of it
        return fail(make_error("{}: line {}: wanted a line of lackey (I, L, S or M, address,size), found '{}'", lines_.name(), lines_.number(),
                               printable(line)));
      }
    }
    const std::size_t count = std::min(buffer.size(), events.size() - at_);
    std::copy_n(events.begin() + static_cast<std::ptrdiff_t>(at_), count, buffer.begin());
    at_ += count;
    return count;
  }

  Result<void> rewind() override {
    FL_CHECK(lines_.rewind());
    begin();
    return {};
  }
  const std::vector<ReferenceFile>& files() const override { return world_.files.all(); }
  const std::vector<ReferenceProcess>& processes() const override { return world_.processes; }
  bool has_mappings() const override { return mappings_; }
  std::vector<std::string> remarks() const override { return remarks_of(world_); }

 private:
  void begin() {
    world_ = {};
    at_ = 0;
    ended_ = false;
    TracedProcess process(world_, world_.add_process(0));
    if (!mappings_) process.without_mappings();
    log_ = std::make_unique<LackeyLog>(world_, std::move(process), 0, static_cast<Reader&>(*this));
  }
  void image_begins(TracedProcess&, std::int32_t) override {}
  void forked(TracedProcess&, std::int32_t) override { ++world_.unseen["forked processes: this log does not say which touches are theirs"]; }

  LineInput lines_;
  bool mappings_;
  TracedWorld world_;
  std::unique_ptr<LackeyLog> log_;
  std::size_t at_ = 0;
  bool ended_ = false;
};

std::string_view text_of(std::span<const std::uint8_t> bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

bool sniff(std::span<const std::uint8_t> head, std::string_view) {
  std::string_view text = text_of(head);
  if (text.find("== Lackey, ") != std::string_view::npos) return true;
  std::size_t lines = 0;
  for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos; text.remove_prefix(end + 1), ++lines) {
    LackeyTouch touch;
    if (!parse_lackey_touch(text.substr(0, end), touch)) return false;
  }
  return lines > 0;
}

Result<std::unique_ptr<ReferenceSource>> open(std::unique_ptr<ByteInput> input, const ImportOptions&) {
  FL_TRY(const std::span<const std::uint8_t> head, input->peek(kLookForCalls));
  const bool calls = text_of(head).find("SYSCALL[") != std::string_view::npos;
  return std::make_unique<LackeySource>(std::move(input), calls);
}

FL_REGISTER_IMPORTER(lackey, "lackey", "touches of one process, code and data; with --trace-syscalls=yes in the log mappings, files and their reads", sniff, open);

}  // namespace
}  // namespace faultline::trace
