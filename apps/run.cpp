#include <algorithm>
#include <iostream>

#include "apps/arguments.hpp"
#include "apps/commands.hpp"
#include "apps/out_folder.hpp"
#include "core/error.hpp"
#include "core/npy.hpp"
#include "core/parallel.hpp"
#include "eval/executor/executor.hpp"
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

/// Samples of one pass over the network, when there are more.
constexpr std::int64_t kChunk = 32;

/// The number of samples, when all arrays have one leading dimension that can be cut into chunks; 0 otherwise.
std::int64_t common_samples(const std::map<std::string, Tensor>& arrays) {
  std::int64_t samples = 0;
  for (const auto& [name, array] : arrays) {
    if (array.size() == 0) throw InputError("input '" + name + "' of shape " + to_string(array.shape()) + " is empty");
    const std::int64_t leading = array.shape().empty() ? 0 : array.shape()[0];
    if (leading == 0 || (samples != 0 && leading != samples)) return 0;
    samples = leading;
  }
  return samples;
}

/// The network for these arrays: with one leading dimension it is a free batch, in chunks, unless the file fixes it;
/// otherwise all shapes are those of the arrays.
Network import_for(const std::filesystem::path& model, const std::map<std::string, Tensor>& arrays,
                   std::int64_t samples) {
  ImportOptions import;
  for (const auto& [name, array] : arrays) {
    Shape shape = array.shape();
    if (samples > 0) shape[0] = -1;
    import.shapes[name] = shape;
  }
  if (samples > 0) import.batch = std::min(samples, kChunk);
  return import_onnx(model, import);
}

bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f64 || dtype == DType::f16 || dtype == DType::bf16;
}

std::vector<Tensor> inputs_of(const Network& network, const std::map<std::string, Tensor>& arrays) {
  std::vector<Tensor> inputs;
  for (const auto id : network.inputs) {
    const auto& info = network.tensor(id);
    const auto found = arrays.find(info.name);
    if (found == arrays.end())
      throw InputError("input '" + info.name + "' is missing: give --input " + info.name + "=FILE.npy");
    const DType given = found->second.dtype();
    if (is_float(given) && !is_float(info.dtype))
      throw InputError("input '" + info.name + "' is " + std::string(name_of(info.dtype)) + "; its file holds " +
                       std::string(name_of(given)));
    inputs.push_back(found->second.cast(info.dtype));
  }
  return inputs;
}

using Results = std::vector<std::vector<Tensor>>;  ///< by chunk and output

/// samples = 0: the inputs have the network's own shapes.
Results run_chunks(const std::shared_ptr<const Network>& network, const std::vector<Tensor>& inputs,
                   std::int64_t samples, int threads) {
  const Executor executor(network);
  const std::int64_t batch = network->batch;
  const auto chunks = static_cast<std::size_t>(samples == 0 ? 1 : (samples + batch - 1) / batch);
  Results results(chunks);
  std::vector<Executor::WorkspacePtr> workspaces(static_cast<std::size_t>(threads));
  parallel_for(chunks, threads, [&](std::size_t c, int worker) {
    auto& workspace = workspaces[static_cast<std::size_t>(worker)];
    if (!workspace) workspace = executor.make_workspace();
    std::vector<Tensor> part = inputs;
    if (samples > 0)
      for (auto& input : part) input = rows_of(input, static_cast<std::int64_t>(c) * batch, batch);
    executor.run(*workspace, part, {});
    for (std::size_t o = 0; o < network->outputs.size(); ++o) results[c].push_back(executor.output(*workspace, o));
  });
  return results;
}

/// The chunks of one output joined; what fills up the last chunk is left out. samples = 0: as it is.
Tensor joined(const Network& network, const Results& results, std::size_t o, std::int64_t samples) {
  if (samples == 0) return results[0][o];
  const auto& info = network.tensor(network.outputs[o]);
  if (info.shape.empty() || info.shape[0] != network.batch)
    throw InputError("output '" + info.name + "' " + to_string(info.shape) + " has no batch dimension: give at most " +
                     std::to_string(network.batch) + " samples");
  Shape shape = info.shape;
  shape[0] = samples;
  Tensor whole(info.dtype, shape);
  const std::size_t row = results[0][o].byte_size() / static_cast<std::size_t>(network.batch);
  std::byte* to = whole.mutable_bytes();
  for (std::int64_t r = 0; r < samples; ++r, to += row) {
    const auto chunk = static_cast<std::size_t>(r / network.batch), at = static_cast<std::size_t>(r % network.batch);
    if (row > 0) std::memcpy(to, results[chunk][o].bytes() + at * row, row);
  }
  return whole;
}

}  // namespace

int run_command(const RunOptions& options) {
  const auto arrays = read_inputs(options.inputs);
  std::int64_t samples = common_samples(arrays);
  const auto network = std::make_shared<const Network>(import_for(options.model, arrays, samples));
  const auto inputs = inputs_of(*network, arrays);
  bool as_given = true;  // unless the chunks, or the batch that the file fixes, are smaller or larger
  for (std::size_t i = 0; i < inputs.size(); ++i)
    as_given = as_given && inputs[i].shape() == network->tensor(network->inputs[i]).shape;
  if (as_given) samples = 0;
  const auto results = run_chunks(network, inputs, samples, options.threads > 0 ? options.threads : default_threads());
  make_out_folder(options.out);
  for (std::size_t o = 0; o < network->outputs.size(); ++o) {
    const Tensor whole = joined(*network, results, o, samples);
    std::string file = network->tensor(network->outputs[o]).name;
    std::replace(file.begin(), file.end(), '/', '_');
    write_npy(options.out / (file + ".npy"), whole);
    std::cout << (options.out / (file + ".npy")).string() << "  " << to_string(whole.shape()) << "  "
              << name_of(whole.dtype()) << '\n';
  }
  return 0;
}

}  // namespace bitplan
