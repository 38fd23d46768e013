#include "model/import/parse_model.hpp"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <limits>

#include "core/error.hpp"
#include "core/files.hpp"
#include "model/import/inline_functions.hpp"

namespace bitplan {
namespace {

constexpr int kFirstOpset = 11, kLastOpset = 23;

bool is_onnx_domain(const std::string& domain) { return domain.empty() || domain == "ai.onnx"; }

}  // namespace

int imported_version(const onnx::ModelProto& model, const std::string& domain) {
  for (const auto& opset : model.opset_import())
    if (opset.domain() == domain || (is_onnx_domain(opset.domain()) && is_onnx_domain(domain)))
      return static_cast<int>(std::clamp<std::int64_t>(opset.version(), 0, std::numeric_limits<int>::max()));
  return 0;
}

void check_opset(std::int64_t version, const std::string& importer) {
  if (version < kFirstOpset || version > kLastOpset)
    throw InputError(importer + " has opset " + std::to_string(version) + "; export it with one from " +
                     std::to_string(kFirstOpset) + " to " + std::to_string(kLastOpset));
}

ParsedModel parse_model(const std::filesystem::path& file) {
  const auto mapped = MappedFile::open(file);
  const auto bytes = mapped->bytes();
  const std::string name = file.string();
  if (bytes.empty()) throw InputError(name + ": the file is empty, not an ONNX model");
  if (bytes.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    throw InputError(name + ": larger than 2 GiB; such models keep their weights in external data");
  auto model = std::make_shared<onnx::ModelProto>();
  if (!model->ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    throw InputError(name + ": not an ONNX model, or truncated or damaged");
  if (!model->has_graph() || (model->graph().node().empty() && model->graph().output().empty()))
    throw InputError(name + ": not an ONNX model: it has no graph");
  try {
    check_opset(imported_version(*model, ""), "the model");
    auto opsets = inline_functions(*model);
    return {std::move(model), std::move(opsets)};
  } catch (const InputError& e) {
    throw InputError(name + ": " + e.what());
  }
}

}  // namespace bitplan
