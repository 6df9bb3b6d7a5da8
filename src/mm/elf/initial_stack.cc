#include "mm/elf/initial_stack.h"

#include <algorithm>

#include "base/assert.h"
#include "mm/elf/elf_format.h"

namespace faultline::mm::elf {

namespace {

// include/uapi/linux/auxvec.h
enum AuxType : std::uint64_t {
  kAtNull = 0,
  kAtPhdr = 3,
  kAtPhent = 4,
  kAtPhnum = 5,
  kAtPagesz = 6,
  kAtBase = 7,
  kAtFlags = 8,
  kAtEntry = 9,
  kAtUid = 11,
  kAtEuid = 12,
  kAtGid = 13,
  kAtEgid = 14,
  kAtPlatform = 15,
  kAtHwcap = 16,
  kAtClktck = 17,
  kAtSecure = 23,
  kAtRandom = 25,
  kAtHwcap2 = 26,
  kAtRseqFeatureSize = 27,
  kAtRseqAlign = 28,
  kAtExecfn = 31,
  kAtSysinfoEhdr = 33,
  kAtMinsigstksz = 51,
};

constexpr std::uint64_t kWord = 8;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

// bprm_stack_limits(): a quarter of the stack limit, not less than ARG_MAX, for strings and pointers together.
Result<void, Errno> InitialStack::check_counts(const StartArguments& arguments) {
  const KernelProfile& profile = space_.profile();
  const std::uint64_t allowed =
      std::max(std::min(profile.argument_bytes_max, space_.limits().stack / 4), profile.argument_bytes_min);
  const std::uint64_t pointers = (std::max<std::uint64_t>(arguments.argv.size(), 1) + arguments.envp.size()) * kWord;
  if (allowed <= pointers) return fail(Errno::too_big);
  lowest_ = pointer_ - (allowed - pointers);
  return {};
}

Result<void, Errno> InitialStack::copy_strings(const StartArguments& arguments) {
  top_ = space_.profile().task_end;
  FL_CHECK(space_.insert_stack(VirtAddr(top_)));
  pointer_ = top_;
  for (std::uint64_t i = 0; i < kWord; ++i) below_top_.push_back(0);
  pointer_ -= kWord;
  FL_CHECK(check_counts(arguments));
  FL_CHECK(push_string(arguments.filename));
  filename_ = pointer_;
  FL_CHECK(push_strings(arguments.envp));
  FL_CHECK(push_strings(arguments.argv));
  argc_ = arguments.argv.size();
  envc_ = arguments.envp.size();
  if (argc_ == 0) {  // since 5.18 no program starts without argv[0]
    FL_CHECK(push_string(""));
    argc_ = 1;
  }
  std::string_view name = arguments.filename;
  for (const ScriptLine& script : arguments.scripts) {
    FL_CHECK(rewrite_for(script, name));
    name = script.interpreter;
  }
  return {};
}

// load_script(): argv[0] makes way for the interpreter, its argument and the script's name.
Result<void, Errno> InitialStack::rewrite_for(const ScriptLine& script, std::string_view name) {
  pointer_ += string_bytes(pointer_);
  --argc_;
  FL_CHECK(push_string(name));
  ++argc_;
  if (script.argument) {
    FL_CHECK(push_string(*script.argument));
    ++argc_;
  }
  FL_CHECK(push_string(script.interpreter));
  ++argc_;
  return {};
}

Result<void, Errno> InitialStack::push_strings(const std::vector<std::string>& strings) {
  for (auto text = strings.rbegin(); text != strings.rend(); ++text) FL_CHECK(push_string(*text));
  return {};
}

Result<void, Errno> InitialStack::push_string(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  const std::uint64_t length = text.size() + 1;
  if (length > space_.profile().max_argument_length || pointer_ - length < lowest_) return fail(Errno::too_big);
  if (!touch(pointer_ - length, pointer_)) return fail(Errno::too_big);  // get_arg_page() could not grow the stack
  const std::uint8_t nul = 0;
  push_bytes({&nul, 1});
  push_bytes(bytes_of(text));
  return {};
}

std::uint64_t InitialStack::push_bytes(std::span<const std::uint8_t> bytes) {
  pointer_ -= bytes.size();
  if (below_top_.size() < top_ - pointer_) below_top_.resize(top_ - pointer_);
  for (std::size_t i = 0; i < bytes.size(); ++i) at(pointer_ + i) = bytes[i];
  return pointer_;
}

std::uint64_t InitialStack::string_bytes(std::uint64_t address) const {
  std::uint64_t end = address;
  while (below_top_[top_ - 1 - end] != 0) ++end;
  return end + 1 - address;
}

bool InitialStack::touch(std::uint64_t low, std::uint64_t high) {
  for (std::uint64_t page = page_floor(high - 1);; page -= kPageSize) {
    if (refused(space_.access(VirtAddr(page), true))) return false;
    if (page <= low) return true;
  }
}

// setup_arg_pages(): nothing moves without ASLR. The mapping grows to 128 KiB below the strings, or to the limit.
Result<void, Errno> InitialStack::set_up(bool executable) {
  const Vma* vma = space_.vmas().containing(top_ - 1);
  FL_ASSERT(vma != nullptr);
  arg_start_ = pointer_;
  const std::uint64_t size = vma->length();
  if (executable) {
    FL_CHECK(space_.mprotect(VirtAddr(vma->start), ByteCount(size), kProtRead | kProtWrite | kProtExec));
  }
  std::uint64_t limit = page_floor(space_.limits().stack);
  const std::uint64_t wanted = std::min(limit, size + space_.profile().stack_at_start);
  if (wanted > size && !space_.grow_stack(VirtAddr(top_ - wanted))) return fail(Errno::fault);
  return {};
}

void InitialStack::fill_auxv(const StartArguments& arguments, const LoadedAddresses& loaded) {
  const KernelProfile& profile = space_.profile();
  const auto add = [this](AuxType type, std::uint64_t value) { auxv_.push_back({type, value}); };
  if (loaded.vdso != 0) add(kAtSysinfoEhdr, loaded.vdso);
  add(kAtMinsigstksz, arguments.min_signal_stack_bytes);
  add(kAtHwcap, arguments.hwcap);
  add(kAtPagesz, kPageSize);
  add(kAtClktck, profile.clock_ticks);
  add(kAtPhdr, loaded.program_headers);
  add(kAtPhent, kProgramHeaderBytes);
  add(kAtPhnum, loaded.program_header_count);
  add(kAtBase, loaded.interpreter_base);
  add(kAtFlags, 0);
  add(kAtEntry, loaded.entry);
  add(kAtUid, arguments.uid);
  add(kAtEuid, arguments.euid);
  add(kAtGid, arguments.gid);
  add(kAtEgid, arguments.egid);
  add(kAtSecure, arguments.secure ? 1 : 0);
  add(kAtRandom, random_);
  add(kAtHwcap2, arguments.hwcap2);
  add(kAtExecfn, filename_);
  add(kAtPlatform, platform_);
  if (profile.rseq_feature_bytes != 0) {
    add(kAtRseqFeatureSize, profile.rseq_feature_bytes);
    add(kAtRseqAlign, profile.rseq_alignment);
  }
  add(kAtNull, 0);
}

bool InitialStack::store(std::uint64_t address, std::uint64_t word) {
  if (refused(space_.access(VirtAddr(address), true))) return false;
  for (std::uint64_t i = 0; i < kWord; ++i) at(address + i) = static_cast<std::uint8_t>(word >> (8 * i));
  return true;
}

Result<void, Errno> InitialStack::create_tables(const StartArguments& arguments, const LoadedAddresses& loaded) {
  const auto align = [this] {
    pointer_ &= ~std::uint64_t{15};
    if (below_top_.size() < top_ - pointer_) below_top_.resize(top_ - pointer_);
  };
  align();  // arch_align_stack()
  const std::string platform = std::string(space_.profile().platform) + '\0';
  platform_ = push_bytes(bytes_of(platform));
  if (!touch(pointer_, pointer_ + platform.size())) return fail(Errno::fault);
  random_ = push_bytes(arguments.random);
  if (!touch(pointer_, pointer_ + arguments.random.size())) return fail(Errno::fault);
  fill_auxv(arguments, loaded);
  const std::uint64_t words = 2 * auxv_.size() + argc_ + envc_ + 3;
  pointer_ -= words * kWord;
  align();
  if (!space_.grow_stack(VirtAddr(pointer_))) return fail(Errno::fault);

  std::uint64_t slot = pointer_;
  bool stored = store(slot, argc_);
  const auto put = [&](std::uint64_t word) { stored = stored && store(slot += kWord, word); };
  std::uint64_t text = arg_start_;
  for (std::uint64_t i = 0; i < argc_; ++i, text += string_bytes(text)) put(text);
  put(0);
  arg_end_ = text;
  for (std::uint64_t i = 0; i < envc_; ++i, text += string_bytes(text)) put(text);
  put(0);
  env_end_ = text;
  for (const AuxEntry& entry : auxv_) {
    put(entry.type);
    put(entry.value);
  }
  if (!stored) return fail(Errno::fault);
  return {};
}

std::vector<std::uint8_t> InitialStack::bytes() const {
  return {below_top_.rend() - static_cast<std::ptrdiff_t>(top_ - pointer_), below_top_.rend()};
}

}  // namespace faultline::mm::elf
