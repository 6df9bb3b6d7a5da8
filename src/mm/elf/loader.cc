#include "mm/elf/loader.h"

#include <algorithm>

#include "base/assert.h"
#include "mm/elf/segment_mapper.h"

namespace faultline::mm::elf {

namespace {

class Loader {
 public:
  Loader(AddressSpace& space, const ExecFile& program, const ExecFile* interpreter)
      : space_(space), program_(program), interpreter_(interpreter) {}

  Result<void, Errno> map_program();
  Result<void, Errno> map_interpreter();
  Result<void, Errno> map_vdso();
  void set_program_break();

  StartState state;

 private:
  const ElfFile& elf() const { return *program_.elf; }
  bool position_independent() const { return elf().header().type == kTypeDynamic; }
  std::uint64_t task_end() const { return space_.profile().task_end; }
  std::uint64_t dynamic_base() const { return task_end() / 3 * 2; }  // ELF_ET_DYN_BASE
  Result<void, Errno> choose_load_bias(const ProgramHeader& first, MapFlags& kind);
  Result<void, Errno> note_segment(const ProgramHeader& segment);

  AddressSpace& space_;
  const ExecFile& program_;
  const ExecFile* interpreter_;
  std::uint64_t program_end_ = 0;  // elf_brk
};

// Where the first segment of a program that may lie anywhere goes. With an interpreter two thirds up the address space;
// without one (static PIE, ld.so itself) into the mapping area, where it leaves the usual place to what it may load.
Result<void, Errno> Loader::choose_load_bias(const ProgramHeader& first, MapFlags& kind) {
  const std::uint64_t alignment = elf().maximum_alignment();
  std::uint64_t bias = 0;
  if (interpreter_ != nullptr) {
    bias = dynamic_base();
    if (alignment != 0) bias &= ~(alignment - 1);
    kind |= kMapFixedNoReplace;
  } else if (alignment > kPageSize) {
    // The kernel maps it anywhere, looks where that was, and takes it away again.
    const std::uint64_t total = elf().total_mapping_size();
    FL_TRY(bias, SegmentMapper(space_, program_).load(0, first, kind, total));
    if (bad_address(space_, bias)) return fail(Errno::inval);
    FL_CHECK(space_.munmap(VirtAddr(bias), ByteCount(total)));
    bias &= ~(alignment - 1);
    kind |= kMapFixedNoReplace;
  }
  state.load_bias = page_floor(bias - first.vaddr);
  return {};
}

Result<void, Errno> Loader::map_program() {
  SegmentMapper mapper(space_, program_);
  state.start_code = ~std::uint64_t{0};
  bool first = true;
  for (const ProgramHeader& segment : elf().program_headers()) {
    if (segment.type != kLoad) continue;
    MapFlags kind = 0;
    std::uint64_t total = 0;
    if (!first) {
      kind = kMapFixed;
    } else if (position_independent()) {
      total = elf().total_mapping_size();
      if (total == 0) return fail(Errno::inval);
      FL_CHECK(choose_load_bias(segment, kind));
    } else {
      kind = kMapFixedNoReplace;
    }
    const std::uint64_t wanted = state.load_bias + segment.vaddr;
    FL_TRY(const std::uint64_t mapped, mapper.load(wanted, segment, kind, total));
    if (bad_address(space_, mapped)) return fail(Errno::inval);
    if (first && position_independent()) state.load_bias += mapped - page_floor(wanted);
    first = false;
    FL_CHECK(note_segment(segment));
  }
  const std::uint64_t bias = state.load_bias;
  for (std::uint64_t* mark : {&state.loaded.program_headers, &program_end_, &state.start_code, &state.end_code,
                              &state.start_data, &state.end_data}) {
    *mark += bias;
  }
  state.loaded.program_header_count = elf().header().phnum;
  state.loaded.entry = elf().header().entry + bias;
  return {};
}

// The marks, still without the load bias.
Result<void, Errno> Loader::note_segment(const ProgramHeader& segment) {
  const std::uint64_t phoff = elf().header().phoff;
  if (segment.offset <= phoff && phoff < segment.offset + segment.filesz) {
    state.loaded.program_headers = phoff - segment.offset + segment.vaddr;
  }
  const bool code = (segment.flags & kFlagExecute) != 0;
  if (code) state.start_code = std::min(state.start_code, segment.vaddr);
  state.start_data = std::max(state.start_data, segment.vaddr);
  if (bad_address(space_, segment.vaddr) || segment.filesz > segment.memsz || segment.memsz > task_end() ||
      task_end() - segment.memsz < segment.vaddr) {
    return fail(Errno::inval);
  }
  const std::uint64_t file_end = segment.vaddr + segment.filesz;
  if (code) state.end_code = std::max(state.end_code, file_end);
  state.end_data = std::max(state.end_data, file_end);
  program_end_ = std::max(program_end_, segment.vaddr + segment.memsz);
  return {};
}

// load_elf_interp().
Result<void, Errno> Loader::map_interpreter() {
  state.entry = state.loaded.entry;
  if (interpreter_ != nullptr) {
    const ElfFile& interp = *interpreter_->elf;
    const bool anywhere = interp.header().type == kTypeDynamic;
    if (!anywhere && interp.header().type != kTypeExecutable) return fail(Errno::perm);
    std::uint64_t total = interp.total_mapping_size();
    if (total == 0) return fail(Errno::inval);
    SegmentMapper mapper(space_, *interpreter_);
    std::uint64_t bias = 0;
    bool placed = false;
    for (const ProgramHeader& segment : interp.program_headers()) {
      if (segment.type != kLoad) continue;
      MapFlags kind = 0;
      if (!anywhere || placed) {
        kind = kMapFixed;
      } else if (state.load_bias != 0) {
        bias = -segment.vaddr;  // no wish; beside a program at fixed addresses its own address is the wish
      }
      FL_TRY(const std::uint64_t mapped, mapper.load(bias + segment.vaddr, segment, kind, total));
      total = 0;
      if (bad_address(space_, mapped)) {
        // A segment of 2^64 bytes wraps to nothing and "lies" outside user memory. load_elf_binary() takes that place for the
        // interpreter's base, since it is no errno; the entry may still come out well.
        bias = mapped;
        break;
      }
      if (anywhere && !placed) {
        bias = mapped - page_floor(segment.vaddr);
        placed = true;
      }
      const std::uint64_t start = bias + segment.vaddr;
      if (bad_address(space_, start) || segment.filesz > segment.memsz || segment.memsz > task_end() ||
          task_end() - segment.memsz < start) {
        return fail(Errno::nomem);
      }
    }
    state.loaded.interpreter_base = bias;
    state.entry = bias + interp.header().entry;
  }
  if (bad_address(space_, state.entry)) return fail(Errno::inval);
  return {};
}

// map_vdso(): one gap for all three, the data below the code.
Result<void, Errno> Loader::map_vdso() {
  const KernelProfile& profile = space_.profile();
  if (profile.vdso_pages == 0) return {};
  const std::uint64_t vvar = PageCount(profile.vvar_pages).bytes().value;
  const std::uint64_t clock = PageCount(profile.vvar_clock_pages).bytes().value;
  const std::uint64_t vdso = PageCount(profile.vdso_pages).bytes().value;
  FL_TRY(const VirtAddr start, space_.find_area(ByteCount(vvar + clock + vdso)));
  const auto insert = [&](std::uint64_t offset, std::uint32_t pages, VmFlags flags, std::uint32_t file) {
    if (pages != 0) space_.insert_special(VirtAddr(start.value + offset), PageCount(pages), kVmRead | flags, file);
  };
  constexpr VmFlags data = kVmIo | kVmPfnMap | kVmDontDump;
  insert(vvar + clock, profile.vdso_pages, kVmExec, kVdsoFile);
  insert(0, profile.vvar_pages, data, kVvarFile);
  insert(vvar, profile.vvar_clock_pages, data, kVvarClockFile);
  state.loaded.vdso = start.value + vvar + clock;
  return {};
}

// Behind the program's last byte; a program in the mapping area gets its heap where others have their code.
void Loader::set_program_break() {
  const bool in_mapping_area = position_independent() && interpreter_ == nullptr;
  space_.set_start_brk(VirtAddr(page_ceil(in_mapping_area ? dynamic_base() : program_end_)),
                       ByteCount(state.end_data - state.start_data));
}

}  // namespace

Result<StartState, ExecFailure> load(AddressSpace& space, const ExecFile& program, const ExecFile* interpreter,
                                     const StartArguments& arguments) {
  InitialStack stack(space);
  if (auto done = stack.copy_strings(arguments); !done) return fail(ExecFailure{done.error(), false});
  return load(space, stack, program, interpreter, arguments);
}

Result<StartState, ExecFailure> load(AddressSpace& space, InitialStack& stack, const ExecFile& program,
                                     const ExecFile* interpreter, const StartArguments& arguments) {
  FL_ASSERT(program.elf->interpreter().has_value() == (interpreter != nullptr));
  FL_ASSERT(space.vmas().size() == 1);  // the stack
  // Here the old address space goes: the point of no return.
  Loader loader(space, program, interpreter);
  const auto run = [&]() -> Result<void, Errno> {
    FL_CHECK(stack.set_up(program.elf->stack_wish() == StackWish::executable));
    FL_CHECK(loader.map_program());
    FL_CHECK(loader.map_interpreter());
    FL_CHECK(loader.map_vdso());
    FL_CHECK(stack.create_tables(arguments, loader.state.loaded));
    loader.set_program_break();
    return {};
  };
  if (auto done = run(); !done) return fail(ExecFailure{done.error(), true});
  StartState& state = loader.state;
  state.stack_pointer = stack.stack_pointer();
  state.arg_start = stack.arg_start();
  state.arg_end = stack.arg_end();
  state.env_start = stack.arg_end();
  state.env_end = stack.env_end();
  state.auxv = stack.auxv();
  state.stack = stack.bytes();
  return std::move(state);
}

}  // namespace faultline::mm::elf
