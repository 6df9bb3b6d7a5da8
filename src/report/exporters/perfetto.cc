// A Perfetto trace: the process with counters over time. Stacks are no part of it: the format's heap profiles want a build of the UI's own.
#include <perfetto.pb.h>

#include "report/exporter.h"

namespace faultline::report {
namespace {

class Writer {
 public:
  Writer(const analyze::Profile& profile, ExportOutput& output) : profile_(profile), output_(output) {}

  void run() {
    perfetto::TrackDescriptor& process = *packet(0).mutable_track_descriptor();
    process.set_uuid(kProcess);
    process.mutable_process()->set_pid(profile_.pid);
    process.mutable_process()->set_process_name(profile_.exe);
    process.mutable_process()->add_cmdline(profile_.command);
    put();
    counter(1, "mem.rss", true);
    for (const trace::RssSample& sample : profile_.rss) value(1, sample.time_ns, sample.rss_bytes);
    if (!profile_.holds(analyze::Sample::page_faults)) return;
    counter(2, "minor faults", false);
    counter(3, "major faults", false);
    for (const analyze::FaultsUntil& until : profile_.faults) {
      value(2, until.time_ns, until.minor);
      value(3, until.time_ns, until.major);
    }
  }

 private:
  static constexpr std::uint64_t kProcess = 1, kCounters = 16;
  const analyze::Profile& profile_;
  ExportOutput& output_;
  perfetto::Trace one_;  // messages of one type may be written one after the other: the whole is their concatenation

  perfetto::TracePacket& packet(std::uint64_t time_ns) {
    perfetto::TracePacket& packet = *one_.add_packet();
    packet.set_timestamp(time_ns);
    packet.set_trusted_packet_sequence_id(1);
    return packet;
  }
  void put() {
    output_.write(one_.SerializeAsString());
    one_.Clear();
  }
  void counter(std::uint64_t number, const char* name, bool bytes) {
    perfetto::TrackDescriptor& track = *packet(0).mutable_track_descriptor();
    track.set_uuid(kCounters + number);
    track.set_parent_uuid(kProcess);
    track.set_name(name);
    track.mutable_counter()->set_unit(bytes ? perfetto::CounterDescriptor::UNIT_SIZE_BYTES : perfetto::CounterDescriptor::UNIT_COUNT);
    put();
  }
  void value(std::uint64_t number, std::uint64_t time_ns, std::uint64_t value) {
    perfetto::TrackEvent& event = *packet(time_ns).mutable_track_event();
    event.set_type(perfetto::TrackEvent::TYPE_COUNTER);
    event.set_track_uuid(kCounters + number);
    event.set_counter_value(static_cast<std::int64_t>(value));
    put();
  }
};

void run(const ExportInput& input, ExportOutput& output) { Writer(input.profile, output).run(); }

FL_REGISTER_EXPORTER("perfetto", "pftrace", "RSS and faults over time: ui.perfetto.dev, trace_processor", run);

}  // namespace
}  // namespace faultline::report
