// LabProcess: a process of the lab's machine with what a C program has on top: malloc, and names for its blocks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "heap/heap.h"
#include "lab/heap_memory.h"
#include "mm/machine/machine.h"

namespace faultline::lab {

inline constexpr heap::ThreadId kThread = 1;  // every lab process has one

struct Block {
  enum class Kind : std::uint8_t { malloced, mapping } kind = Kind::malloced;
  std::uint64_t address = 0;  // 0: NULL
  std::uint64_t size = 0;     // as it was asked for
  bool lost = false;          // malloced, and its memory was unmapped by other means than free
};

class LabProcess {
 public:
  using Heap = heap::Heap<HeapMemory>;

  LabProcess(std::string name, mm::Process& process) : name_(std::move(name)), process_(&process) {}
  // After fork: the parent's blocks and malloc, in the child's copy of the memory.
  LabProcess(std::string name, mm::Process& child, const LabProcess& parent);

  const std::string& name() const { return name_; }
  mm::Process& process() { return *process_; }
  const mm::Process& process() const { return *process_; }
  const mm::AddressSpace& space() const { return process_->space(); }
  const mm::elf::StartState& start() const { return start_; }
  const std::string& program() const { return program_; }
  const std::map<std::uint32_t, std::string>& file_names() const { return file_names_; }

  unsigned programs_loaded() const { return programs_loaded_; }

  // A program was loaded: everything of the old one is gone.
  void loaded(std::string program, std::map<std::uint32_t, std::string> file_names, mm::elf::StartState start);

  HeapMemory& memory() { return *memory_; }
  bool has_heap() const { return heap_ != nullptr; }
  const Heap& heap() const { return *heap_; }
  Heap& heap_for_use();  // made at the first use, with the tunables of that moment
  heap::Tunables& tunables() { return tunables_; }

  std::map<std::string, Block>& blocks() { return blocks_; }
  const std::map<std::string, Block>& blocks() const { return blocks_; }
  const Block* find_block(const std::string& name) const;
  // The name is the block's from now on; empty: one is made up. A block that had the name gets another one: returned.
  std::string bind(std::string& name, const Block& block);
  // After a system call of the program that may have taken away something in [start, end): names of what is no longer there go; malloc's blocks are marked lost.
  void review_blocks(std::uint64_t start, std::uint64_t end);

 private:
  std::string fresh_name();

  std::string name_;
  mm::Process* process_;
  std::string program_;
  std::map<std::uint32_t, std::string> file_names_;
  mm::elf::StartState start_;
  std::unique_ptr<HeapMemory> memory_;
  heap::Tunables tunables_;
  std::unique_ptr<Heap> heap_;
  std::map<std::string, Block> blocks_;
  unsigned made_up_ = 0;
  unsigned programs_loaded_ = 0;
};

}  // namespace faultline::lab
