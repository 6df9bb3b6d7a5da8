#include "thp_settings.h"

#include <fstream>

namespace faultline::spec {

bool thp_setting_has(const std::string& name, const std::string& value) {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/" + name);
  std::string text;
  std::getline(file, text);
  return text.find(value) != std::string::npos;
}

}  // namespace faultline::spec
