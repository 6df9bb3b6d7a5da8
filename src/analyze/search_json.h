// The --json shapes shared by verify, whatif, advise and confirm; docs/json.md describes them.
#pragma once

#include <nlohmann/json.hpp>

#include "analyze/search.h"
#include "replay/prediction.h"
#include "replay/verify.h"

namespace faultline::analyze {

nlohmann::ordered_json to_json(const replay::Pair& pair);
nlohmann::ordered_json to_json(const replay::Prediction& prediction);
// Relative errors from verify that travel with predictions; null where nothing could be compared.
nlohmann::ordered_json error_json(const replay::Verification& verification, const replay::Prediction& prediction);

nlohmann::ordered_json to_json(const ReplayedLint& lint);
nlohmann::ordered_json to_json(const Candidate& candidate, const replay::Verification& verification);

}  // namespace faultline::analyze
