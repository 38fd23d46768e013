#include "eval/rewrites/rewrite_sites.hpp"
#include "quant/rewrites/smoothquant.hpp"

namespace bitplan {

void apply_smoothquant(RewriteJob& job) {
  fold_linear_sites(job, false, [&](const SiteProblem& problem) {
    std::vector<float> weight_max(static_cast<std::size_t>(problem.channels));
    add_column_maxima(problem.rows, weight_max);
    return smoothquant_scales(problem.statistics.largest, weight_max, job.parameter("alpha"));
  });
}

}  // namespace bitplan
