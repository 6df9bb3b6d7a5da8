#include "analyze/lints.h"

#include <algorithm>
#include <numeric>

#include "replay/program.h"

namespace faultline::analyze {
namespace {

const heap::Tunable* tunable_of(std::string_view name, bool variable) {
  if (!variable) {
    if (!name.starts_with(heap::kTunablePrefix)) return nullptr;
    name.remove_prefix(heap::kTunablePrefix.size());
  }
  for (const heap::Tunable& tunable : heap::kTunables)
    if (name == (variable ? tunable.environment : tunable.name)) return &tunable;
  return nullptr;
}

SettingText split(std::string_view text, bool variable) {
  SettingText setting;
  setting.variable = variable;
  const std::size_t equals = text.find('=');
  setting.has_value = equals != std::string_view::npos;
  setting.name = text.substr(0, equals);
  if (setting.has_value) setting.value = text.substr(equals + 1);
  setting.tunable = setting.has_value ? tunable_of(setting.name, variable) : nullptr;
  return setting;
}

// Letters alone count: "MALLOC_MMAP_THRESHOLD" and "malloc_mmap_threshold_" are the same.
std::string bare(std::string_view name) {
  std::string text;
  for (const char c : name) text += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  while (text.ends_with('_') || text.ends_with(' ')) text.pop_back();
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

std::size_t distance(std::string_view a, std::string_view b) {  // Levenshtein
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

const MalloptCall* LintInput::mallopt(int parameter) const {
  const MalloptCall* found = nullptr;
  for (const MalloptCall& call : mallopts)
    if (call.parameter == parameter) found = &call;
  return found;
}

void add_call(std::vector<MalloptCall>& calls, const MalloptCall& call) {
  const auto same = std::find_if(calls.begin(), calls.end(), [&](const MalloptCall& c) { return c.parameter == call.parameter && c.value == call.value; });
  if (same == calls.end()) calls.push_back(call);
  else same->times += call.times;
}

LintInput lint_input(std::string_view glibc_tunables, const std::vector<std::string>& environment) {
  LintInput input;
  for (std::string_view rest = glibc_tunables; !rest.empty();) {
    const std::string_view item = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    if (!item.empty()) input.settings.push_back(split(item, false));
  }
  for (const std::string& variable : environment)
    if (variable.starts_with("MALLOC_")) input.settings.push_back(split(variable, true));
  input.tunables = heap::Tunables::from_environment(glibc_tunables, environment);
  return input;
}

LintInput lint_input(const replay::Program& program, const std::string& file) {
  LintInput input = lint_input(program.tunables, program.environment);
  input.threads = std::max<std::size_t>(1, program.threads.size());
  input.thp_by_madvise = program.thp_madvise_bytes != 0;
  input.file = file;
  for (const replay::Event& event : program.events) {
    if (event.op != trace::HeapOp::mallopt || event.address == 0) continue;
    add_call(input.mallopts, {static_cast<int>(event.other), static_cast<int>(event.size), 1});
  }
  return input;
}

std::vector<Lint> look_for_lints(const LintInput& input) {
  std::vector<Lint> found;
  if (input.settings.empty() && input.mallopts.empty()) return found;
  for (const LintDescriptor& descriptor : Registry<LintDescriptor>::instance().entries()) {
    for (Lint& lint : descriptor.look(input)) {
      lint.id = descriptor.name;
      found.push_back(std::move(lint));
    }
  }
  return found;
}

std::optional<std::string> nearest_name(std::string_view written, const std::vector<std::string>& known) {
  std::optional<std::string> nearest;
  std::size_t least = 3;
  for (const std::string& name : known) {
    const std::size_t apart = distance(bare(written), bare(name));
    if (apart >= least) continue;
    least = apart;
    nearest = name;
  }
  return nearest;
}

heap::Tunables with_value(heap::Tunables tunables, std::string_view tunable, std::string_view value) {
  for (const heap::Tunable& known : heap::kTunables) {
    if (known.name != tunable) continue;
    const heap::TunableNumber number = heap::read_tunable_number(value);
    if (known.in_range(number.value)) known.store(tunables, number.value);
  }
  return tunables;
}

}  // namespace faultline::analyze
