#include "lab/lab_process.h"

#include <fmt/format.h>

#include <utility>

namespace faultline::lab {

namespace {

mm::AddressSpace& space_of(mm::Process& process) {
  return process.run([](mm::AddressSpace& space) -> mm::AddressSpace& { return space; });
}

}  // namespace

LabProcess::LabProcess(std::string name, mm::Process& child, const LabProcess& parent)
    : name_(std::move(name)), process_(&child), program_(parent.program_), file_names_(parent.file_names_),
      start_(parent.start_), memory_(std::make_unique<HeapMemory>(space_of(child), *parent.memory_)),
      tunables_(parent.tunables_), blocks_(parent.blocks_), made_up_(parent.made_up_) {
  if (parent.heap_ != nullptr) heap_ = std::make_unique<Heap>(*memory_, *parent.heap_, kThread);
}

void LabProcess::loaded(std::string program, std::map<std::uint32_t, std::string> file_names, mm::elf::StartState start) {
  ++programs_loaded_;
  heap_.reset();
  memory_ = std::make_unique<HeapMemory>(space_of(*process_));
  blocks_.clear();
  program_ = std::move(program);
  file_names_ = std::move(file_names);
  start_ = std::move(start);
}

LabProcess::Heap& LabProcess::heap_for_use() {
  if (heap_ == nullptr) {
    heap::Parameters parameters;
    parameters.tunables = tunables_;
    heap_ = std::make_unique<Heap>(*memory_, parameters);
  }
  return *heap_;
}

const Block* LabProcess::find_block(const std::string& name) const {
  const auto found = blocks_.find(name);
  return found == blocks_.end() ? nullptr : &found->second;
}

std::string LabProcess::fresh_name() {
  std::string name;
  do name = fmt::format("_{}", ++made_up_);
  while (blocks_.contains(name));
  return name;
}

std::string LabProcess::bind(std::string& name, const Block& block) {
  if (name.empty()) name = fresh_name();
  std::string other;
  if (const auto old = blocks_.find(name); old != blocks_.end()) {
    const Block before = old->second;
    blocks_.erase(old);
    if (before.address != 0) {
      other = fresh_name();
      blocks_.emplace(other, before);
    }
  }
  blocks_.emplace(name, block);
  return other;
}

void LabProcess::review_blocks(std::uint64_t start, std::uint64_t end) {
  for (auto at = blocks_.begin(); at != blocks_.end();) {
    Block& block = at->second;
    const std::uint64_t seen = block.kind == Block::Kind::malloced ? block.address - 16 : block.address;
    if (seen < start || seen >= end) {
      ++at;
      continue;
    }
    const mm::Vma* vma = block.address == 0 ? nullptr : space().vmas().find(seen);
    const bool there = vma != nullptr && vma->contains(seen);
    if (block.kind == Block::Kind::malloced) {
      if (block.address != 0 && (!there || vma->tag == mm::VmaTag::other)) block.lost = true;
    } else if (!there && block.address != 0) {
      at = blocks_.erase(at);
      continue;
    }
    ++at;
  }
}

}  // namespace faultline::lab
