// The files behind recorded mappings, as files of the twin's machine: with what of them the recorder found in the page cache.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "mm/backing/open_file.h"
#include "mm/machine/machine.h"
#include "replay/follow/kernel_run.h"
#include "trace/cached_file.h"
#include "trace/system_event.h"

namespace faultline::replay {

// What an mmap of a file maps in the twin: an open file with a page cache, or, where the recorder could not look at it (memfd, deleted,
// never named), a number of its own: each page of it costs one fault.
struct FileChoice {
  mm::OpenFile* backing = nullptr;
  std::uint32_t number = 0;
  std::uint64_t bytes = 0;  // of the mapping, where the call does not say
};

class RecordedFiles {
 public:
  // run: a page that a major fault brought in was not in the cache before, whatever the recorder found at the end.
  RecordedFiles(mm::Machine& machine, std::span<const trace::CachedFile> cached, const KernelRun& run);
  ~RecordedFiles();
  RecordedFiles(const RecordedFiles&) = delete;
  RecordedFiles& operator=(const RecordedFiles&) = delete;

  // One open(2) is taken to be one process, descriptor and file: mappings of one open file merge, those of two do not.
  // descriptor: of the mmap call, kByExecve for what execve maps.
  FileChoice choose(const trace::MappingEvent& mapping, trace::Pid pid, std::int32_t descriptor, bool writable);
  // What shmat(2) maps: each attachment opens the segment's file anew.
  FileChoice shared_segment(const trace::MappingEvent& mapping);
  FileChoice unknown() { return {nullptr, next_number_++}; }  // equal to no other
  // The path the kernel told of what is mapped there; empty where it told none.
  std::string name_of(const mm::Vma& vma) const;
  void name_special(std::uint32_t number, const std::string& name) { number_names_[number] = name; }
  static constexpr std::int32_t kByExecve = -2;

 private:
  using FileKey = std::pair<std::uint32_t, std::uint64_t>;  // device, inode
  struct File {
    mm::FileObject* object = nullptr;
    mm::ReadAheadLimits read_ahead;
  };
  mm::Machine& machine_;
  std::map<FileKey, File> files_;
  std::map<FileKey, mm::FileObject*> segments_;
  std::vector<mm::OpenFile*> attached_;
  std::map<std::tuple<trace::Pid, std::int32_t, FileKey, bool>, mm::OpenFile*> open_;
  std::map<FileKey, std::uint32_t> numbers_;
  std::map<const mm::FileObject*, std::string> object_names_;
  std::map<std::uint32_t, std::string> number_names_;
  std::uint32_t next_number_ = 1;
};

}  // namespace faultline::replay
