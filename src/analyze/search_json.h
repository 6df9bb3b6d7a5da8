// The --json shapes shared by verify, whatif, advise and confirm; docs/json.md describes them.
#pragma once

#include <nlohmann/json.hpp>

#include "analyze/search.h"
#include "replay/prediction.h"
#include "replay/verify.h"

namespace faultline::analyze {

nlohmann::ordered_json to_json(const replay::Pair& pair);
nlohmann::ordered_json to_json(const replay::Prediction& prediction);
// Errors that travel with predictions: ratios from verify (null where nothing could be compared), and the whole bar.
nlohmann::ordered_json error_json(const replay::Verification& verification, const replay::Prediction& prediction, const ErrorBar& error);

nlohmann::ordered_json to_json(const ReplayedLint& lint);
nlohmann::ordered_json to_json(const Candidate& candidate, const replay::Verification& verification);

}  // namespace faultline::analyze
