#pragma once

#include <string>
#include <vector>

#include "eval/data/evaluator_data.hpp"
#include "eval/executor/executor.hpp"
#include "eval/rewrites/rewrite.hpp"

namespace bitplan {

/// One rewrite at work: it edits `network`, a copy of what `executor` runs, and says what it did.
struct RewriteJob {
  Network& network;
  const RewriteSpec& spec;
  const Executor& executor;
  ChunkedData& calibration;
  int threads;
  RewriteRecord& record;
  std::string summary{};             ///< "34 layers in 17 chains"
  std::vector<std::string> notes{};  ///< what could not be done

  double parameter(const std::string& name) const { return spec.parameters.at(name); }
};

void apply_equalize(RewriteJob& job);     // rewrite_equalize.cpp
void apply_smoothquant(RewriteJob& job);  // rewrite_smoothquant.cpp
void apply_awq(RewriteJob& job);          // rewrite_awq.cpp

}  // namespace bitplan
