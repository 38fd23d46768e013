#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "eval/losses/losses.hpp"
#include "hwmodels/cost_model.hpp"
#include "search/archive.hpp"
#include "search/space.hpp"

namespace bitplan {

/// One row of the sensitivity table: this variable takes this choice, everything else is float.
struct SensitivityRow {
  std::string variable, kind, choice;
  std::size_t sites = 1;           ///< tied sites change together
  Loss loss;
  double loss_on_grid = 0;
};
/// The rows that the archive holds, in the order of variables and options; float first ("-").
std::vector<SensitivityRow> sensitivity_rows(const Space& space, const ChoiceTable& choices, const Archive& archive,
                                             const Metric& metric);
/// sensitivity.csv: variable,kind,sites,choice,loss,low,high. Names are quoted where CSV needs it.
void write_sensitivity_csv(const std::filesystem::path& file, const std::vector<SensitivityRow>& rows);

/// front.json: the trials that no other one beats in loss and in each cost of `metrics`: {"metrics": […], "points":
/// [{"trial", "stage", "loss", "costs": {…}, "choices": {site: label}}]}.
void write_front(const std::filesystem::path& file, const Network& network, const ChoiceTable& choices,
                 const CostModel& costs, const Archive& archive, const std::vector<std::size_t>& metrics);

}  // namespace bitplan
