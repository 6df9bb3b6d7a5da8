// Other tools' formats: one file each in exporters/, registered at its end. An exporter writes down what it is given and computes nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "analyze/profile.h"
#include "base/registry.h"
#include "base/result.h"
#include "trace/recording.h"

namespace faultline::report {

// Where an exporter writes. Errors are kept and told at the end.
class ExportOutput {
 public:
  virtual ~ExportOutput() = default;
  virtual void write(std::string_view bytes) = 0;
};

struct ExportInput {
  const analyze::Profile& profile;
  trace::Recording& recording;           // for formats of single events
  const trace::ProcessInfo& process;
  analyze::Sample sample = analyze::Sample::alloc_space;  // for formats that hold one
};

struct ExporterDescriptor {
  const char* name;
  const char* suffix;    // of the default output, "folded"
  const char* summary;   // what it holds, and who reads it
  void (*run)(const ExportInput& input, ExportOutput& output);
};

}  // namespace faultline::report

// At the end of exporters/NAME.cc, inside its anonymous namespace.
#define FL_REGISTER_EXPORTER(...) const ::faultline::Registration<::faultline::report::ExporterDescriptor> fl_exporter({__VA_ARGS__})
