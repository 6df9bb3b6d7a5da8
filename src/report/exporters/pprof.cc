// pprof's profile.proto, compressed by gzip: `go tool pprof` and what else reads it.
#include <pprof.pb.h>
#include <zlib.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/assert.h"
#include "report/exporter.h"

namespace faultline::report {
namespace {

using analyze::Sample;

class Strings {
 public:
  explicit Strings(pprof::Profile& profile) : profile_(profile) { at(""); }
  std::int64_t at(const std::string& text) {
    const auto [found, fresh] = ids_.try_emplace(text, profile_.string_table_size());
    if (fresh) profile_.add_string_table(text);
    return found->second;
  }

 private:
  pprof::Profile& profile_;
  std::unordered_map<std::string, std::int64_t> ids_;
};

// protobuf strings are UTF-8; a symbol or path may hold any byte.
std::string utf8(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    bool good = length > 0 && i + length <= text.size();
    for (std::size_t j = 1; good && j < length; ++j) good = (static_cast<unsigned char>(text[i + j]) & 0xc0) == 0x80;
    result += good ? text.substr(i, length) : std::string("?");
    i += good ? length : 1;
  }
  return result;
}

void compress(const std::string& data, ExportOutput& output) {
  z_stream stream{};
  FL_ASSERT(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);  // 16: a gzip header
  std::string buffer(1 << 16, '\0');
  std::size_t at = 0;
  int status = Z_OK;
  while (status != Z_STREAM_END) {
    if (stream.avail_in == 0 && at < data.size()) {  // avail_in has 32 bits
      const std::size_t piece = std::min<std::size_t>(data.size() - at, 1 << 30);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data() + at));
      stream.avail_in = static_cast<uInt>(piece);
      at += piece;
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = deflate(&stream, at == data.size() ? Z_FINISH : Z_NO_FLUSH);
    FL_ASSERT(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
    output.write({buffer.data(), buffer.size() - stream.avail_out});
  }
  deflateEnd(&stream);
}

void add_mappings(const analyze::Profile& from, pprof::Profile& profile, Strings& strings) {
  for (const trace::Module& module : from.modules) {
    pprof::Mapping& mapping = *profile.add_mapping();
    mapping.set_id(static_cast<std::uint64_t>(profile.mapping_size()));
    mapping.set_memory_start(module.start);
    mapping.set_memory_limit(module.end);
    mapping.set_filename(strings.at(utf8(module.path)));
    mapping.set_build_id(strings.at(module.build_id));
    mapping.set_has_functions(true);  // names are in the file: the reader need not look for symbols
    mapping.set_has_filenames(true);
    mapping.set_has_line_numbers(true);
    mapping.set_has_inline_frames(true);
  }
}

std::uint64_t mapping_of(const analyze::Profile& from, std::uint64_t address) {
  for (std::size_t i = 0; i < from.modules.size(); ++i) {
    if (address >= from.modules[i].start && address < from.modules[i].end) return i + 1;
  }
  return 0;
}

void run(const ExportInput& input, ExportOutput& output) {
  const analyze::Profile& from = input.profile;
  pprof::Profile profile;
  Strings strings(profile);
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < analyze::kSamples; ++i) {
    if (from.known[i]) samples.push_back(static_cast<Sample>(i));
  }
  for (const Sample sample : samples) {
    pprof::ValueType& type = *profile.add_sample_type();
    type.set_type(strings.at(sample_name(sample)));
    type.set_unit(strings.at(sample_is_bytes(sample) ? "bytes" : "count"));
  }
  add_mappings(from, profile, strings);
  std::map<std::pair<std::int64_t, std::int64_t>, std::uint64_t> functions;
  for (std::size_t i = 0; i < from.frames.size(); ++i) {  // inlined frames are locations of their own, with the same address
    const analyze::ProfileFrame& frame = from.frames[i];
    const std::pair name{strings.at(utf8(frame.function)), strings.at(utf8(frame.file))};
    const auto [function, fresh] = functions.try_emplace(name, functions.size() + 1);
    if (fresh) {
      pprof::Function& one = *profile.add_function();
      one.set_id(function->second);
      one.set_name(name.first);
      one.set_system_name(name.first);
      one.set_filename(name.second);
    }
    pprof::Location& location = *profile.add_location();
    location.set_id(i + 1);
    location.set_address(frame.address);
    location.set_mapping_id(mapping_of(from, frame.address));
    pprof::Line& line = *location.add_line();
    line.set_function_id(function->second);
    line.set_line(frame.line);
  }
  for (const analyze::ProfileStack& stack : from.stacks) {
    pprof::Sample& one = *profile.add_sample();
    for (const std::uint32_t frame : stack.frames) one.add_location_id(frame + 1);
    for (const Sample sample : samples) one.add_value(static_cast<std::int64_t>(stack.value(sample)));
  }
  profile.set_duration_nanos(static_cast<std::int64_t>(from.end_ns - std::min(from.end_ns, from.start_ns)));
  profile.add_comment(strings.at(utf8(from.command)));
  profile.set_default_sample_type(strings.at(sample_name(input.sample)));
  compress(profile.SerializeAsString(), output);
}

FL_REGISTER_EXPORTER("pprof", "pb.gz", "stacks with all numbers: go tool pprof, and what reads its profiles", run);

}  // namespace
}  // namespace faultline::report
