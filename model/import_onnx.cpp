#include "model/import_onnx.hpp"

#include "core/hash.hpp"
#include "model/import/draft.hpp"
#include "model/import/resolve_branches.hpp"

namespace bitplan {

Network import_onnx(const std::filesystem::path& file, const ImportOptions& options) {
  Draft draft;
  draft.file = file;
  draft.network.file = file.string();
  auto parsed = parse_model(file);
  draft.network.sha256 = sha256_file(file);
  try {
    resolve_branches(parsed, file, options);
    read_graph(draft, parsed);
    bind_shapes(draft, options);
    sort_nodes(draft);
    infer_and_fold(draft);
    fold_batch_norm(draft);
    drop_dead(draft);
    find_layers(draft);
    find_sites(draft.network, options.attention_sites);
    find_ties(draft.network);
  } catch (const UnsupportedModel&) {
    throw;  // names the file already
  } catch (const InputError& e) {
    throw InputError(file.string() + ": " + e.what());
  }
  return std::move(draft.network);
}

}  // namespace bitplan
