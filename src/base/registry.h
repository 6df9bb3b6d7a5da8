// Plug-ins register themselves: one file holds descriptor, code, and a static Registration at its end.
// The folder must be an OBJECT library: a linker drops unreferenced members of a static one without a word.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

namespace faultline {

// Descriptor needs a `name` comparable with std::string_view. Entries are kept sorted by name: order of static
// initialisation never shows.
template <typename Descriptor>
class Registry {
 public:
  static Registry& instance() {
    static Registry registry;
    return registry;
  }
  void add(const Descriptor& descriptor) {
    auto at = std::lower_bound(entries_.begin(), entries_.end(), descriptor, [](const Descriptor& x, const Descriptor& y) {
      return std::string_view(x.name) < std::string_view(y.name);
    });
    entries_.insert(at, descriptor);
  }
  const std::vector<Descriptor>& entries() const { return entries_; }

 private:
  std::vector<Descriptor> entries_;
};

template <typename Descriptor>
struct Registration {
  explicit Registration(const Descriptor& descriptor) { Registry<Descriptor>::instance().add(descriptor); }
};

}  // namespace faultline
