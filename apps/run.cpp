#include <algorithm>
#include <iostream>

#include "apps/arguments.hpp"
#include "apps/commands.hpp"
#include "core/error.hpp"
#include "core/npy.hpp"
#include "core/parallel.hpp"
#include "eval/executor.hpp"
#include "model/import_onnx.hpp"

namespace bitplan {
namespace {

/// Rows first … first + count - 1 of a tensor, the last one repeated when `rows` is larger than what is left.
Tensor rows_of(const Tensor& all, std::int64_t first, std::int64_t rows) {
  Shape shape = all.shape();
  const auto row_bytes = all.byte_size() / static_cast<std::size_t>(shape[0]);
  const auto total = shape[0];
  shape[0] = rows;
  Tensor part(all.dtype(), shape);
  for (std::int64_t r = 0; r < rows; ++r)
    std::memcpy(part.mutable_bytes() + static_cast<std::size_t>(r) * row_bytes,
                all.bytes() + static_cast<std::size_t>(std::min(first + r, total - 1)) * row_bytes, row_bytes);
  return part;
}

std::map<std::string, Tensor> read_inputs(const std::vector<std::string>& options) {
  std::map<std::string, Tensor> arrays;
  for (const auto& text : options) {
    const auto [name, file] = split_assignment(text, "--input");
    if (!arrays.emplace(name, read_npy(file)).second) throw UsageError("--input " + name + " is given twice");
  }
  return arrays;
}

/// The network for these arrays: as many samples at once as fit a chunk, the rest of the shape from the arrays.
Network import_for(const std::filesystem::path& model, const std::map<std::string, Tensor>& arrays) {
  ImportOptions import;
  std::int64_t samples = 1;
  for (const auto& [name, array] : arrays) {
    if (array.shape().empty() || array.size() == 0) throw InputError("input '" + name + "' is empty");
    Shape shape = array.shape();
    samples = shape[0];
    shape[0] = -1;
    import.shapes[name] = shape;
  }
  import.batch = std::min<std::int64_t>(samples, 32);
  return import_onnx(model, import);
}

std::vector<Tensor> inputs_of(const Network& network, const std::map<std::string, Tensor>& arrays) {
  std::vector<Tensor> inputs;
  for (const auto id : network.inputs) {
    const auto& info = network.tensor(id);
    const auto found = arrays.find(info.name);
    if (found == arrays.end()) throw InputError("input '" + info.name + "' is missing: give --input " + info.name + "=FILE.npy");
    if (found->second.shape()[0] != arrays.begin()->second.shape()[0])
      throw InputError("the inputs have different numbers of samples");
    inputs.push_back(found->second.cast(info.dtype));
  }
  return inputs;
}

}  // namespace

int run_command(const RunOptions& options) {
  const auto arrays = read_inputs(options.inputs);
  if (arrays.empty()) throw UsageError("run needs at least one --input NAME=FILE.npy");
  const auto network = std::make_shared<const Network>(import_for(options.model, arrays));
  const auto inputs = inputs_of(*network, arrays);
  const std::int64_t samples = inputs[0].shape()[0], batch = network->batch;
  const auto chunks = static_cast<std::size_t>((samples + batch - 1) / batch);
  const Executor executor(network);

  std::vector<std::vector<Tensor>> results(chunks);
  const int threads = options.threads > 0 ? options.threads : default_threads();
  std::vector<Executor::WorkspacePtr> workspaces(static_cast<std::size_t>(threads));
  parallel_for(chunks, threads, [&](std::size_t c, int worker) {
    auto& workspace = workspaces[static_cast<std::size_t>(worker)];
    if (!workspace) workspace = executor.make_workspace();
    std::vector<Tensor> part;
    for (const auto& input : inputs) part.push_back(rows_of(input, static_cast<std::int64_t>(c) * batch, batch));
    executor.run(*workspace, part, {});
    for (std::size_t o = 0; o < network->outputs.size(); ++o) results[c].push_back(executor.output(*workspace, o));
  });

  std::filesystem::create_directories(options.out);
  for (std::size_t o = 0; o < network->outputs.size(); ++o) {
    const auto& info = network->tensor(network->outputs[o]);
    Tensor whole = results[0][o];
    if (!info.shape.empty() && info.shape[0] == batch) {
      Shape shape = info.shape;
      shape[0] = samples;
      whole = Tensor(info.dtype, shape);
      const auto row_bytes = results[0][o].byte_size() / static_cast<std::size_t>(batch);
      for (std::int64_t r = 0; r < samples; ++r)
        std::memcpy(whole.mutable_bytes() + static_cast<std::size_t>(r) * row_bytes,
                    results[static_cast<std::size_t>(r / batch)][o].bytes() + static_cast<std::size_t>(r % batch) * row_bytes,
                    row_bytes);
    } else if (chunks > 1) {
      throw InputError("output '" + info.name + "' " + to_string(info.shape) +
                       " has no batch dimension: give at most " + std::to_string(batch) + " samples");
    }
    std::string file = info.name;
    std::replace(file.begin(), file.end(), '/', '_');
    write_npy(options.out / (file + ".npy"), whole);
    std::cout << (options.out / (file + ".npy")).string() << "  " << to_string(whole.shape()) << "  "
              << name_of(whole.dtype()) << '\n';
  }
  return 0;
}

}  // namespace bitplan
