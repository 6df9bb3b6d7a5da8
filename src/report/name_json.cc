#include "report/name_json.h"

namespace faultline::report {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json name_json(const analyze::SiteName& name) {
  return {{"function", name.function}, {"file", text_or_null(name.file)},   {"line", name.line > 0 ? Json(name.line) : Json(nullptr)},
          {"module", text_or_null(name.module)}, {"via", text_or_null(name.via)}, {"callers", name.callers}};
}

}  // namespace faultline::report
