// faultline export FORMAT FILE [-o OUT]: a recording in other tools' formats.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "analyze/format.h"
#include "cli/command.h"
#include "cli/output_file.h"
#include "cli/recorded_process.h"
#include "report/exporter.h"

namespace faultline::cli {
namespace {

using Exporters = Registry<report::ExporterDescriptor>;

class FileOutput final : public report::ExportOutput {
 public:
  explicit FileOutput(OutputFile& file) : file_(file) {}
  void write(std::string_view bytes) override { file_.write(bytes); }

 private:
  OutputFile& file_;
};

class Export : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("FORMAT", format_, "what to write (--list)");
    app.add_option("FILE", file_, "recording");
    app.add_option("-o,--output", output_, "where to write; - for standard output (default: FILE with the format's ending)");
    app.add_option("--sample", sample_, "the number of formats that hold one, the first shown of others: alloc_space, alloc_objects, inuse_space, inuse_objects, "
                                        "peak_space, resident_space, page_faults, major_faults")->capture_default_str();
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    app.add_flag("--list", list_, "say which formats there are");
  }

  Result<int> run() override {
    if (list_) {
      for (const report::ExporterDescriptor& one : Exporters::instance().entries()) fmt::print("{:<12} {}\n", one.name, one.summary);
      return kDone;
    }
    FL_TRY(const report::ExporterDescriptor* const exporter, find_format());
    FL_TRY(const analyze::Sample sample, find_sample());
    if (file_.empty()) return fail(make_error("wanted a recording, found none"));
    FL_TRY(const std::unique_ptr<trace::Recording> recording, trace::Recording::open(file_));
    FL_TRY(const trace::ProcessInfo* const process, recorded_process(*recording, file_, pid_));
    if (output_.empty()) output_ = file_ + "." + exporter->suffix;
    std::error_code error;
    if (std::filesystem::equivalent(file_, output_, error)) return fail(make_error("{}: is the input", output_));
    if (output_ == "-" && isatty(STDOUT_FILENO) != 0 && std::string_view(exporter->name).starts_with("p")) {
      return fail(make_error("{} is no text: wanted a file or a pipe, found a terminal", exporter->name));
    }
    FL_TRY(OutputFile file, OutputFile::create(output_));
    const analyze::Profile profile = analyze::profile_of(*recording, *process);
    const bool one_number = std::string_view(exporter->name) == "folded";
    if (one_number && !profile.holds(sample)) return fail(make_error("{}: holds no {}: {}", file_, sample_, joined(profile.missing)));
    FileOutput out(file);
    exporter->run({profile, *recording, *process, profile.holds(sample) ? sample : analyze::Sample::alloc_space}, out);
    FL_CHECK(file.finish());
    for (const std::string& line : profile.missing) fmt::print(stderr, "not in it: {}\n", line);
    if (output_ != "-") fmt::print("{}: {} call sites, {}\n", output_, analyze::format_count(profile.stacks.size()), analyze::format_bytes(file.bytes()));
    return kDone;
  }

 private:
  Result<const report::ExporterDescriptor*> find_format() const {
    std::string names;
    for (const report::ExporterDescriptor& one : Exporters::instance().entries()) {
      if (format_ == one.name) return &one;
      names += (names.empty() ? "" : ", ") + std::string(one.name);
    }
    return fail(make_error("wanted a format ({}), found '{}'", names, format_));
  }

  Result<analyze::Sample> find_sample() const {
    for (std::size_t i = 0; i < analyze::kSamples; ++i) {
      if (sample_ == analyze::sample_name(static_cast<analyze::Sample>(i))) return static_cast<analyze::Sample>(i);
    }
    return fail(make_error("--sample: wanted alloc_space, inuse_space, peak_space, page_faults, ... (faultline export --help), found '{}'", sample_));
  }

  static std::string joined(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += (text.empty() ? "" : "; ") + line;
    return text;
  }

  std::string format_, file_, output_, sample_ = "alloc_space";
  trace::Pid pid_ = 0;
  bool list_ = false;
};

}  // namespace

FL_REGISTER_COMMAND(Export, "export", "a recording in other tools' formats");

}  // namespace faultline::cli
