// Recording over a file of blocks.
#pragma once

#include <map>

#include "trace/block_file.h"
#include "trace/recording.h"
#include "trace/ring_stream.h"

namespace faultline::trace {

class FileRecording final : public Recording {
 public:
  explicit FileRecording(BlockFile file);
  Result<void> read_infos();  // what open() needs beyond the index

  const Meta& meta() const override { return meta_; }
  std::span<const ProcessInfo> processes() const override { return processes_; }
  const ProcessInfo* main_process() const override;
  const std::optional<std::string>& damage() const override { return damage_; }
  std::uint64_t complete_until_ns() const override { return complete_until_ns_; }
  std::unique_ptr<HeapEventReader> heap_events(Pid pid) override;
  std::uint64_t heap_event_count(Pid pid) override;
  std::vector<MemoryCall> calls(Pid pid) override;
  std::vector<FaultEvent> faults(Pid pid) override;
  std::vector<TouchObservation> touches(Pid pid) override;
  std::vector<ThreadEnd> thread_ends(Pid pid) override;
  std::vector<Module> modules(Pid pid) override;
  std::vector<RssSample> rss_samples(Pid pid) override;
  std::vector<CachedFile> cached_files() override;
  std::vector<TaskEvent> tasks() override;
  std::vector<MappingEvent> mapping_events(Pid pid) override;
  std::vector<MemoryCall> calls_of_all_images(Pid pid) override;
  std::vector<FaultEvent> faults_of_all_images(Pid pid) override;
  StackTable& stacks(Pid pid) override;
  std::uint64_t file_bytes() const override { return file_.bytes(); }

 private:
  struct Rings {  // the heap of one process image
    std::map<std::uint32_t, std::vector<const BlockEntry*>> blocks;  // by ring
    std::uint64_t bytes = 0, events = 0;
    std::uint16_t flags = 0;
  };
  using Image = std::uint32_t;

  void note_damage(const std::string& line, std::uint64_t complete_until_ns = kToTheEnd);
  void read_texts(Image image, ProcessInfo& process);
  void choose_images(std::map<Image, ProcessInfo>& infos);
  std::unique_ptr<HeapEventReader> merged(const Rings& rings, StackTable& stacks, SideRecords* side);
  void read_side(Pid pid, SideRecords& side);
  const Rings* rings_of(Pid pid) const;
  template <typename Decode>
  void each_payload(BlockKind kind, Pid pid, Decode&& decode);

  BlockFile file_;
  TickClock clock_;
  Meta meta_;
  std::optional<std::string> damage_;
  std::uint64_t complete_until_ns_ = kToTheEnd;
  std::vector<ProcessInfo> processes_;
  std::map<Image, Rings> rings_;
  std::map<Pid, Image> image_of_;
  std::map<Pid, std::unique_ptr<StackTable>> stacks_;
};

}  // namespace faultline::trace
