// The reader of recordings against any bytes: as wire records, as a payload inside a whole file, and as a file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "base/assert.h"
#include "trace/block_writer.h"
#include "trace/memory_codec.h"
#include "trace/process_text.h"
#include "trace/recording.h"
#include "trace/wire_decoder.h"

namespace {

using namespace faultline::trace;

struct Sink : SideRecords {};

void as_wire(std::span<const std::uint8_t> bytes) {
  StackTable stacks;
  const TickClock clock;
  Sink sink;
  WireDecoder decoder(stacks, clock, &sink);
  decoder.feed(bytes);
  HeapEvent event;
  std::size_t events = 0;
  while (decoder.next(event)) ++events;
  WireSummary summary;
  std::uint64_t tick = 0;
  const bool whole = summarize_wire(bytes, tick, summary);
  if (decoder.error().empty()) FL_ASSERT(whole && summary.events == events);
}

void read_all(const std::string& path) {
  auto recording = Recording::open(path);
  if (!recording) {
    FL_ASSERT(recording.error().message().find('\n') == std::string::npos);
    return;
  }
  for (const ProcessInfo& process : (*recording)->processes()) {
    const auto reader = (*recording)->heap_events(process.pid);
    HeapEvent event;
    while (reader->next(event)) {
    }
    (*recording)->faults(process.pid);
    (*recording)->calls(process.pid);
    (*recording)->touches(process.pid);
    (*recording)->modules(process.pid);
    (*recording)->rss_samples(process.pid);
    (*recording)->mapping_events(process.pid);
    (*recording)->calls_of_all_images(process.pid);
    (*recording)->faults_of_all_images(process.pid);
  }
  (*recording)->tasks();
  (*recording)->main_process();
}

// Checksums keep a fuzzer out of the payloads: here the bytes become the payload of a whole block.
void as_payload(const std::string& path, std::uint8_t selector, std::span<const std::uint8_t> bytes) {
  auto writer = BlockWriter::create(path);
  FL_ASSERT(writer);
  BlockHeader header{};
  header.kind = static_cast<std::uint16_t>(1 + selector % 10);
  header.flags = selector < 128 ? 63 : 62;  // faults with and without their kind of access
  header.image = 1;
  header.pid = header.kind == static_cast<std::uint16_t>(BlockKind::tasks) ? 0 : 1;
  writer->append(header, bytes);
  writer->append_text(BlockKind::end, 0, 0, "");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  static const int file = memfd_create("recording", 0);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  const std::span<const std::uint8_t> bytes(data + 2, size - 2);
  FL_ASSERT(ftruncate(file, 0) == 0);
  switch (data[0] % 3) {
    case 0: as_wire(bytes); return 0;
    case 1: as_payload(path, data[1], bytes); break;
    default: FL_ASSERT(pwrite(file, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size())); break;
  }
  read_all(path);
  return 0;
}
