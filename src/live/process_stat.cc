#include "live/process_stat.h"

#include <algorithm>
#include <cstring>

#include "base/units.h"

namespace faultline::live {
namespace {

constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD

// Numbers between blanks, one after the other.
class Fields {
 public:
  explicit Fields(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  std::uint64_t next() {
    while (at_ != end_ && *at_ == ' ') ++at_;
    if (at_ != end_ && *at_ == '-') ++at_;  // no field used here is ever negative
    if (at_ == end_ || *at_ < '0' || *at_ > '9') complete_ = false;
    std::uint64_t value = 0;
    for (; at_ != end_ && *at_ >= '0' && *at_ <= '9'; ++at_) value = value * 10 + static_cast<std::uint64_t>(*at_ - '0');
    return value;
  }
  void skip(int fields) {
    while (fields-- > 0) next();
  }
  bool complete() const { return complete_; }

 private:
  const char* at_;
  const char* end_;
  bool complete_ = true;
};

}  // namespace

bool parse_stat(std::string_view line, ProcessStat& stat) {
  const std::size_t open = line.find('(');
  const std::size_t close = line.rfind(')');  // the name may hold any number of them, what follows none
  if (open == line.npos || close == line.npos || close < open || close + 3 >= line.size()) return false;
  Fields head(line.substr(0, open));
  stat.pid = static_cast<Pid>(head.next());
  const std::string_view name = line.substr(open + 1, close - open - 1);
  stat.name_length = static_cast<std::uint8_t>(std::min(name.size(), sizeof stat.name));
  std::memcpy(stat.name, name.data(), stat.name_length);
  stat.state = line[close + 2];
  Fields fields(line.substr(close + 3));
  stat.parent = static_cast<Pid>(fields.next());  // field 4
  fields.skip(4);
  stat.kernel_thread = (fields.next() & kKernelThread) != 0;  // 9: flags
  stat.minor_faults = fields.next();
  fields.skip(1);
  stat.major_faults = fields.next();  // 12
  fields.skip(7);
  stat.threads = fields.next();  // 20
  fields.skip(1);
  stat.start_ticks = fields.next();
  stat.virtual_bytes = fields.next();
  stat.rss_bytes = fields.next() * kPageSize;  // 24
  return head.complete() && fields.complete();
}

}  // namespace faultline::live
