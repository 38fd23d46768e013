#pragma once

#include <list>
#include <memory>
#include <vector>

#include "eval/executor/executor.hpp"
#include "eval/kernels/program.hpp"

namespace bitplan {

/// The memory of one thread, used by one program after the other.
class Executor::Workspace {
 public:
  explicit Workspace(const Program& program);

  /// A program in this memory. Valid until the next call.
  struct Bound {
    std::shared_ptr<const Program> program;
    std::vector<dnnl::memory> memories;  ///< by ValueId
  };
  const Bound& bind(const std::shared_ptr<const Program>& program);

  std::byte* arena() const { return arena_.get(); }
  const Program* last = nullptr;  ///< that of the last run, whose outputs lie in the arena
  dnnl::stream stream;
  std::vector<dnnl_exec_arg_t> arguments;
  std::vector<float> tapped;

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };

  std::size_t arena_bytes_ = 0;
  std::unique_ptr<std::byte[], Free> arena_;
  std::list<Bound> bounds_;  ///< the most recently used first
};

}  // namespace bitplan
