// Reference streams: importing lackey's text, filtering, writing, reading back. A real log instead of the made one:
// FAULTLINE_LACKEY_LOG=FILE references_bench.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "trace/references/importer.h"
#include "trace/references/reference_file.h"
#include "trace/references/reference_writer.h"
#include "trace/references/repeat_filter.h"

namespace {

using namespace faultline::trace;

// Code in loops, a stack, a heap of which a part is hot: about four lines of code to one of data, as lackey writes them.
std::string made_log() {
  if (const char* path = std::getenv("FAULTLINE_LACKEY_LOG"); path != nullptr) {
    std::ifstream file(path, std::ios::binary);
    std::string text(64u << 20, 0);
    text.resize(static_cast<std::size_t>(file.read(text.data(), static_cast<std::streamsize>(text.size())).gcount()));
    return text.substr(0, text.rfind('\n') + 1);
  }
  std::mt19937 random(1);
  std::string text;
  unsigned long code = 0x109000, heap = 0x4835000;
  while (text.size() < 32u << 20) {
    if (random() % 200 == 0) code = 0x109000 + random() % 400 * 4096;
    if (random() % 50 == 0) heap = 0x4835000 + (random() % 8 != 0 ? random() % 300 : random() % 50'000) * 4096;
    for (int i = 0; i < 4; ++i) text += fmt::format("I  {:08x},{}\n", code += 4, 4);
    if (random() % 2 != 0) text += fmt::format(" {} {:08x},8\n", random() % 3 != 0 ? 'L' : 'S', heap + random() % 512 * 8);
    else text += fmt::format(" {} {:08x},8\n", random() % 2 != 0 ? 'L' : 'S', 0x1fff000600 - random() % 64 * 8);
  }
  return text;
}

const std::string& log_text() {
  static const std::string text = made_log();
  return text;
}

std::unique_ptr<ReferenceSource> source_of_log() {
  for (const ImporterDescriptor& importer : faultline::Registry<ImporterDescriptor>::instance().entries())
    if (std::string_view(importer.name) == "lackey") return std::move(*importer.open(ByteInput::of_bytes({log_text().begin(), log_text().end()}, "log"), {}));
  std::abort();
}

std::string stream_path() { return std::filesystem::temp_directory_path() / ("faultline-references-bench-" + std::to_string(getpid())); }

// The whole way of `faultline import`.
void import_lackey(benchmark::State& state) {
  const std::string path = stream_path();
  double references = 0, touches = 0, bytes = 0;
  for (auto _ : state) {
    FilteredSource source(source_of_log(), static_cast<std::uint32_t>(state.range(0)));
    auto writer = ReferenceWriter::create(path, {"lackey", "bench", source.window(), source.has_mappings()});
    if (!write_all(source, *writer)) std::abort();
    touches = static_cast<double>(writer->touches());
    bytes = static_cast<double>(writer->file_bytes());
    references += touches + static_cast<double>(source.dropped());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(log_text().size() * state.iterations()));
  state.counters["references/s"] = benchmark::Counter(references, benchmark::Counter::kIsRate);
  state.counters["bytes/touch"] = bytes / touches;
  state.counters["touches"] = touches;
  std::filesystem::remove(path);
}
BENCHMARK(import_lackey)->Arg(1)->Arg(64)->Unit(benchmark::kMillisecond);

// What a consumer gets from a file. 0: the log with only repeats in a row left out; else: random touches of so many pages, the
// worst there is.
void read_stream(benchmark::State& state) {
  const std::string path = stream_path();
  {
    FilteredSource log(source_of_log(), 1);
    auto writer = ReferenceWriter::create(path, {"lackey", "bench", 1, false});
    if (state.range(0) == 0) {
      if (!write_all(log, *writer)) std::abort();
    } else {
      std::mt19937_64 random(1);
      std::vector<ReferenceEvent> events(8'000'000);
      for (ReferenceEvent& event : events) event.page = random() % static_cast<std::uint64_t>(state.range(0));
      if (!writer->add(events, log) || !writer->finish(log)) std::abort();
    }
    state.counters["bytes/touch"] = static_cast<double>(writer->file_bytes()) / static_cast<double>(writer->touches());
  }
  auto file = std::move(*ReferenceStreamFile::open(path));
  std::vector<ReferenceEvent> events(4096);
  double references = 0;
  for (auto _ : state) {
    if (!file->rewind()) std::abort();
    for (std::size_t count = 0; (count = *file->next(events)) > 0;) references += static_cast<double>(count);
    benchmark::DoNotOptimize(events.data());
  }
  state.counters["references/s"] = benchmark::Counter(references, benchmark::Counter::kIsRate);
  std::filesystem::remove(path);
}
BENCHMARK(read_stream)->Arg(0)->Arg(10'000)->Arg(65'536)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
