// BlockDevice: how long the swap device takes. Requests are served in order; a request of n adjacent pages pays the latency once.
// Times are of the virtual clock. Counterpart: none, a model of the hardware below the block layer; presets are typical devices,
// `faultline limits --device` takes measured ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "mm/virtual_clock.h"

namespace faultline::mm {

struct DeviceModel {
  std::string_view name = "ssd";
  std::uint64_t read_latency_ns = 120'000;
  std::uint64_t write_latency_ns = 60'000;
  std::uint64_t page_ns = 4'000;     // transfer of 4 KiB
  std::uint64_t request_pages = 254; // at most in one request: queue/max_segments, as virtio has it
  bool rotating = false;             // what queue/rotational says: chooses the kind of swap read-ahead
  bool synchronous = false;          // zram, brd: no queue, and a page nobody shares is read alone (SWP_SYNCHRONOUS_IO)
};

inline constexpr DeviceModel kDevices[] = {
    {.name = "nvme", .read_latency_ns = 80'000, .write_latency_ns = 20'000, .page_ns = 2'000},
    {.name = "ssd"},
    {.name = "hdd", .read_latency_ns = 8'000'000, .write_latency_ns = 8'000'000, .page_ns = 30'000, .rotating = true},
    {.name = "zram", .read_latency_ns = 2'500, .write_latency_ns = 8'000, .page_ns = 0, .synchronous = true},
};

class BlockDevice {
 public:
  explicit BlockDevice(const DeviceModel& model) : model_(model) {}

  // When a request handed in now is done, ns.
  std::uint64_t read(std::uint64_t now_ns, std::uint64_t pages) {
    reads_ += 1;
    read_pages_ += pages;
    return serve(now_ns, model_.read_latency_ns, pages);
  }
  // The same for somebody who waits: time goes by until it is done.
  void read_and_wait(VirtualClock& clock, std::uint64_t pages) {
    const std::uint64_t wait_ns = read(clock.now_ns(), pages) - clock.now_ns();
    waited_ns_ += wait_ns;
    clock.advance(wait_ns);
  }
  std::uint64_t write(std::uint64_t now_ns, std::uint64_t pages) {
    written_pages_ += pages;
    return serve(now_ns, model_.write_latency_ns, pages);
  }
  const DeviceModel& model() const { return model_; }
  std::uint64_t waited_ns() const { return waited_ns_; }          // for reads
  std::uint64_t reads() const { return reads_; }
  std::uint64_t read_pages() const { return read_pages_; }        // pswpin
  std::uint64_t written_pages() const { return written_pages_; }  // pswpout

 private:
  // Transfers queue, latencies overlap.
  std::uint64_t serve(std::uint64_t now_ns, std::uint64_t latency_ns, std::uint64_t pages) {
    busy_until_ns_ = std::max(busy_until_ns_, now_ns) + pages * model_.page_ns;
    return busy_until_ns_ + latency_ns;
  }

  DeviceModel model_;
  std::uint64_t busy_until_ns_ = 0;
  std::uint64_t waited_ns_ = 0;
  std::uint64_t reads_ = 0;
  std::uint64_t read_pages_ = 0;
  std::uint64_t written_pages_ = 0;
};

}  // namespace faultline::mm
