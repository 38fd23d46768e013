#pragma once

#include <cstdint>
#include <memory>

#include "search/searcher.hpp"

namespace bitplan {

/// The uniform plans of the space, in one batch. run_search() always begins with it, so that every run knows what a
/// mixed plan has to beat (uniform guard); as a stage of its own it costs nothing more.
class Uniform final : public Searcher {
 public:
  explicit Uniform(const Problem& problem) : problem_(problem) {}
  std::int64_t planned() const;
  std::vector<Assignment> ask() override;
  void tell(std::span<const Assignment>, std::span<const Measurement>) override {}

 private:
  const Problem& problem_;
  bool asked_ = false;
};

std::unique_ptr<Searcher> make_uniform(const Yaml& stage, const Problem& problem);
std::int64_t planned_uniform(const Yaml& stage, const Problem& problem);

}  // namespace bitplan
