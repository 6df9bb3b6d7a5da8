// faultline import FORMAT FILE: somebody else's trace becomes a reference stream.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "cli/command.h"
#include "trace/references/importer.h"
#include "trace/references/reference_writer.h"
#include "trace/references/repeat_filter.h"

namespace faultline::cli {
namespace {

// Written beside its final name, so that what stands there is whole.
class Unfinished {
 public:
  explicit Unfinished(const std::string& final_name) : path_(final_name + ".part") {}
  ~Unfinished() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  const std::string& path() const { return path_; }
  Result<void> finish(const std::string& final_name) {
    if (rename(path_.c_str(), final_name.c_str()) != 0) return fail(make_error("{}: cannot be written: {}", final_name, std::strerror(errno)));
    path_.clear();
    return {};
  }

 private:
  std::string path_;
};

class ImportCommand : public Command {
 public:
  void describe(CLI::App& app) override {
    std::string formats;
    for (const trace::ImporterDescriptor& importer : Registry<trace::ImporterDescriptor>::instance().entries()) {
      formats += fmt::format("\n  {:<16}{}", importer.name, importer.provides);
    }
    app.add_option("FORMAT", format_, "what FILE is, or auto")->required();
    app.add_option("FILE", path_, "the trace, also compressed by zstd; - for standard input")->required();
    app.add_option("-o,--output", output_, "where to write (default: FILE.refs)");
    app.add_option("--window", window_, "pages whose repeated touches are left out; misses stay exact for memories of at least as many")
        ->check(CLI::Range(1u, trace::kLargestWindow));
    app.add_option("--page-size", options_.page_bytes, "of the addresses in FILE, in bytes (default 4096)");
    app.footer("Formats:" + formats);
  }

  Result<int> run() override {
    if (!std::has_single_bit(options_.page_bytes)) return fail(make_error("--page-size: wanted a power of two, found {}", options_.page_bytes));
    if (output_.empty()) {
      if (path_ == "-") return fail(make_error("standard input has no name: say where to write with -o"));
      output_ = path_ + ".refs";
    }
    std::string format;
    FL_TRY(auto source, trace::open_import(format_, path_, options_, &format));
    trace::FilteredSource filtered(std::move(source), window_);
    FL_CHECK(may_replace());
    Unfinished unfinished(output_);
    {
      FL_TRY(auto writer, trace::ReferenceWriter::create(unfinished.path(), {format, path_, window_, filtered.has_mappings()}));
      FL_CHECK(trace::write_all(filtered, writer));
      if (writer.events() == 0) return fail(make_error("{}: wanted references ({}), found none", path_, format));
      FL_CHECK(unfinished.finish(output_));
      const double touches = static_cast<double>(writer.touches());
      fmt::print("{}: {} references as {} touches and {} calls, {} bytes ({:.3f} a touch)\n", output_, writer.touches() + filtered.dropped(),
                 writer.touches(), writer.events() - writer.touches(), writer.file_bytes(),
                 touches > 0 ? static_cast<double>(writer.file_bytes()) / touches : 0.0);
    }
    for (const std::string& line : filtered.remarks()) fmt::print("not in it: {}\n", line);
    fmt::print("next: faultline info {}\n", output_);
    return kDone;
  }

 private:
  // As record: a file that is not ours is never replaced.
  Result<void> may_replace() {
    std::error_code error;
    if (!std::filesystem::exists(output_, error)) return {};
    if (std::filesystem::equivalent(path_, output_, error)) return fail(make_error("{}: is the input", output_));
    FL_TRY(const auto old, trace::ByteInput::open(output_));
    FL_TRY(const auto head, old->peek(sizeof trace::kReferenceMagic));
    const bool ours = head.size() == sizeof trace::kReferenceMagic && std::memcmp(head.data(), trace::kReferenceMagic, head.size()) == 0;
    if (!ours && !head.empty()) return fail(make_error("{}: exists and is no faultline reference stream; not overwritten (choose another name with -o)", output_));
    return {};
  }

  std::string format_, path_, output_;
  std::uint32_t window_ = trace::kDefaultWindow;
  trace::ImportOptions options_;
};

}  // namespace

FL_REGISTER_COMMAND(ImportCommand, "import", "a reference stream from another tool's trace");

}  // namespace faultline::cli
