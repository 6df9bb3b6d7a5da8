#include "mm/machine/machine.h"

#include <algorithm>

#include "base/assert.h"
#include "mm/backing/file_users.h"

namespace faultline::mm {

std::unique_ptr<Machine> Machine::create(const MachineConfig& config) {
  return std::unique_ptr<Machine>(new Machine(config));
}

Machine::Machine(const MachineConfig& config) : config_(config), frames_(config.frames), khugepaged_(config.profile.khugepaged), disk_(config.swap.device) {
  if (!config.reclaim) return;
  if (config.swap.pages > 1) swap_ = std::make_unique<SwapSpace>(frames_, config.swap, clock_);
  reclaim_ = std::make_unique<Reclaim>(frames_, entries_, swap_.get(), clock_, *config.reclaim);
  frames_.set_observer(reclaim_.get());
  frames_.set_swap(swap_.get());
}

void Machine::wait_for_file(std::uint64_t pages) {
  if (pages > 0) disk_.read_and_wait(clock_, pages);
}

Machine::~Machine() {
  processes_.clear();
  files_.clear();
}

void Machine::advance(std::uint64_t ns) {
  clock_.advance(ns);
  if (reclaim_ != nullptr) reclaim_->run_until(clock_.now_ns());
  khugepaged_.run_until(clock_.now_ns(), processes_);
}

Pid Machine::add(Pid parent, std::shared_ptr<AddressSpace> space) {
  const Pid pid = next_pid_++;
  processes_.emplace(pid, std::make_unique<Process>(pid, parent, std::move(space)));
  return pid;
}

Process& Machine::start(const AddressSpace::Layout& layout, const ResourceLimits& limits) {
  return process(add(0, std::make_shared<AddressSpace>(frames_, config_.profile, layout, limits)));
}

Process* Machine::find(Pid pid) {
  const auto found = processes_.find(pid);
  return found == processes_.end() ? nullptr : found->second.get();
}

Process& Machine::process(Pid pid) {
  Process* found = find(pid);
  FL_ASSERT(found != nullptr);
  return *found;
}

Result<Pid, Errno> Machine::fork(Pid parent) {
  FL_TRY(std::unique_ptr<AddressSpace> space, process(parent).space_->fork());
  return add(parent, std::move(space));
}

Pid Machine::clone_vm(Pid parent) { return add(parent, process(parent).space_); }

Pid Machine::vfork(Pid parent) {
  FL_ASSERT(!process(parent).waits_for_vfork());
  const Pid child = clone_vm(parent);
  process(parent).vfork_child_ = child;
  return child;
}

void Machine::end_vfork(Process& child) {
  Process* parent = find(child.parent_);
  if (parent != nullptr && parent->vfork_child_ == child.pid_) parent->vfork_child_ = 0;
}

AddressSpace& Machine::exec(Pid pid, const AddressSpace::Layout& layout, const ResourceLimits& limits) {
  Process& changed = process(pid);
  end_vfork(changed);
  changed.space_ = std::make_shared<AddressSpace>(frames_, config_.profile, layout, limits);
  return *changed.space_;
}

FaultCounters Machine::exit(Pid pid) {
  Process& gone = process(pid);
  end_vfork(gone);
  const FaultCounters counted = gone.faults_;
  processes_.erase(pid);
  return counted;
}

FileObject& Machine::create_file(const FileSettings& settings) {
  return *files_.emplace_back(std::make_unique<FileObject>(frames_, settings));
}

// truncate_pagecache(): entries first, private copies too, then the pages. A file that grows is cut as well: a large folio
// that was left whole beyond an earlier, smaller end meets the new one.
void Machine::truncate(FileObject& file, std::uint64_t bytes) {
  const std::uint64_t old_end = file.pages();
  file.set_size(bytes);
  const std::uint64_t end = file.pages();
  for (const auto& [pid, one] : processes_) one->space_->unmap_file(file, end, old_end);
  remove_pages(frames_, file, end, std::max(old_end, end) + (std::uint64_t{1} << file.max_order()),
               [](const FrameUser& user) { user.space->forget_entry(user.vpn); });
}

void Machine::sync(FileObject& file) {
  write_back(frames_, file, 0, file.pages(), [](const FrameUser& user) { user.space->clean_entry(user.vpn); });
}

void Machine::drop_cache(FileObject& file) { drop_unused(frames_, file, 0, file.pages()); }

void Machine::check_invariants() const {
  frames_.check_invariants();
  for (const auto& file : files_) file->check_invariants();
  if (swap_ != nullptr) swap_->area().check_invariants();
  if (reclaim_ != nullptr) reclaim_->check_invariants();
  for (const auto& [pid, one] : processes_) {
    FL_ASSERT(one->pid() == pid);
    one->space().check_invariants();
    const auto child = processes_.find(one->vfork_child_);
    FL_ASSERT(!one->waits_for_vfork() || (child != processes_.end() && child->second->shares_space_with(*one)));
  }
}

}  // namespace faultline::mm
