#include "eval/prepared_weights.hpp"

#include <algorithm>

#include "core/error.hpp"
#include "core/hash.hpp"
#include "core/log.hpp"
#include "core/npy.hpp"
#include "eval/data/dataset_checks.hpp"
#include "eval/evaluator_weights.hpp"
#include "eval/moments/moment_passes.hpp"
#include "quant/layer_quantizer.hpp"

namespace bitplan {
namespace {

constexpr std::size_t kKeepBytes = std::size_t{256} << 20;
/// Part of every file's name.
constexpr std::string_view kVersion = "prepared 7";

std::size_t bytes_of(const LayerMoments& moments) { return moments.bytes(); }
std::size_t bytes_of(const QuantizedWeight& weight) { return weight.values.size() * 6 + weight.scales.size() * 8; }

template <class T>
void add(std::map<std::string, Tensor>& members, const char* name, const std::vector<T>& values) {
  if (!values.empty()) members[name] = Tensor::of({static_cast<std::int64_t>(values.size())}, values);
}

template <class T>
bool take(const std::map<std::string, Tensor>& members, const char* name, std::vector<T>& values) {
  const auto found = members.find(name);
  if (found == members.end()) return true;
  if (found->second.dtype() != dtype_of<T>()) return false;
  const auto read = found->second.values<T>();
  values.assign(read.begin(), read.end());
  return true;
}

/// A weight as its first layer sees it.
WeightView view_of(const Network& network, SiteId site) {
  const Layer& layer = network.layer(network.site(site).layers.front());
  return WeightView::of(layer.weight_shape, layer.channel_axis, layer.groups);
}

/// A file's name says what it is the weight of; it stands inside, too, so that a file under another's name is known.
std::vector<std::uint8_t> name_of(const std::filesystem::path& file) {
  const std::string name = file.stem().string();
  return {name.begin(), name.end()};
}

/// The file only saves time: a run does not end for it.
void store(const std::filesystem::path& file, const QuantizedWeight& weight) {
  try {
    std::filesystem::create_directories(file.parent_path());
    write_weight(file, weight);
  } catch (const std::runtime_error& error) {
    log_warning(std::string("a prepared weight is not kept: ") + error.what());
  }
}

}  // namespace

Choice without_data(const Choice& choice) {
  Choice plain = choice;
  plain.gain = plain.refit = plain.awq = false;
  if (plain.bias == BiasCorrection::empirical) plain.bias = BiasCorrection::none;
  plain.outliers = 0;
  if (plain.range == RangeMethod::wmse || plain.range == RangeMethod::output) plain.range = RangeMethod::mse;
  if (plain.needs_data()) plain.rounding = "nearest";
  return plain;
}

std::vector<std::string> notes_on_inputs(const Network& network, const ChoiceTable& choices) {
  std::string labels;
  for (ChoiceId c = 0; c < static_cast<ChoiceId>(choices.size()); ++c)
    if (!choices[c].activation && choices[c].needs_data())
      labels.append(labels.empty() ? "" : ", ").append(choices[c].label);
  std::vector<std::string> notes;
  for (const Site& site : network.sites)
    if (site.kind == Site::Kind::weight && !labels.empty() && !layer_with_moments(network, site.id))
      notes.push_back("weight '" + site.name +
                      "' multiplies no rows of inputs: rounding by data, gain, awq, outliers, " +
                      "bias and ranges wmse and output are left out of " + labels + " there");
  return notes;
}

void write_weight(const std::filesystem::path& file, const QuantizedWeight& weight) {
  std::map<std::string, Tensor> members;
  const auto [least, most] = std::minmax_element(weight.codes.begin(), weight.codes.end());
  const bool bytes = weight.codes.empty() || (*least >= -128 && *most <= 127);
  if (bytes)
    add(members, "codes", std::vector<std::int8_t>(weight.codes.begin(), weight.codes.end()));
  else
    add(members, "codes", weight.codes);
  add(members, "scales", weight.scales);
  add(members, "zero_points", weight.zero_points);
  add(members, "code_book", weight.code_book);
  add(members, "offsets", weight.offsets);
  add(members, "column_scales", weight.column_scales);
  add(members, "float_columns", weight.float_columns);
  add(members, "bias", weight.bias);
  add(members, "salient", weight.salient);
  add(members, "values", weight.values);
  add(members, "stored_bits", std::vector<std::int64_t>{weight.stored_bits});
  add(members, "mse", std::vector<double>{weight.mse});
  add(members, "name", name_of(file));
  write_npz(file, members);
}

namespace {

bool has_numbers_of(const WeightView& view, const Choice& choice, const QuantizedWeight& weight) {
  const auto is = [](std::size_t size, std::int64_t wanted) { return static_cast<std::int64_t>(size) == wanted; };
  const auto none_or = [&](std::size_t size, std::int64_t wanted) { return size == 0 || is(size, wanted); };
  const std::size_t zeros = weight.offsets.size() + weight.zero_points.size();
  const bool parts = !choice.is_integer() ||
                     (is(weight.scales.size(), parts_of(view, choice.granularity)) && zeros == weight.scales.size());
  return parts && is(weight.values.size(), view.size()) && is(weight.codes.size(), view.size()) &&
         weight.stored_bits == stored_bits(view, choice) && none_or(weight.bias.size(), view.channels) &&
         none_or(weight.column_scales.size(), view.per_channel()) &&
         none_or(weight.float_columns.size(), float_columns(view, choice));
}

}  // namespace

std::optional<QuantizedWeight> read_weight(const std::filesystem::path& file, const WeightView& view,
                                           const Choice& choice) try {
  std::error_code unknown;
  if (!std::filesystem::exists(file, unknown)) return std::nullopt;
  const auto members = read_npz(file);
  QuantizedWeight weight;
  std::vector<std::int8_t> bytes;
  std::vector<std::int64_t> stored;
  std::vector<double> mse;
  std::vector<std::uint8_t> name;
  const auto codes = members.find("codes");
  const bool narrow = codes != members.end() && codes->second.dtype() == DType::i8;
  const bool fits = (narrow ? take(members, "codes", bytes) : take(members, "codes", weight.codes)) &&
                    take(members, "scales", weight.scales) && take(members, "zero_points", weight.zero_points) &&
                    take(members, "code_book", weight.code_book) && take(members, "offsets", weight.offsets) &&
                    take(members, "column_scales", weight.column_scales) &&
                    take(members, "float_columns", weight.float_columns) && take(members, "bias", weight.bias) &&
                    take(members, "salient", weight.salient) && take(members, "values", weight.values) &&
                    take(members, "stored_bits", stored) && take(members, "mse", mse) && take(members, "name", name) &&
                    name == name_of(file);
  if (narrow) weight.codes.assign(bytes.begin(), bytes.end());
  weight.stored_bits = stored.size() == 1 ? stored[0] : -1;
  weight.mse = mse.size() == 1 ? mse[0] : 0;
  if (!fits || !has_numbers_of(view, choice, weight))
    throw InputError(file.string() + ": is not the weight that was asked for");
  return weight;
} catch (const InputError& error) {
  log_warning(std::string("a prepared weight is made again: ") + error.what());
  return std::nullopt;
}

template <class Value>
Value* PreparedWeights::Kept<Value>::find(const Key& key) {
  const auto found = std::find_if(entries.begin(), entries.end(), [&](const auto& e) { return e.first == key; });
  if (found == entries.end()) return nullptr;
  entries.splice(entries.begin(), entries, found);
  return &entries.front().second;
}

template <class Value>
void PreparedWeights::Kept<Value>::keep(const Key& key, const Value& value) {
  entries.emplace_front(key, value);
  bytes += bytes_of(*value);
  while (bytes > kKeepBytes && entries.size() > 1) {
    bytes -= bytes_of(*entries.back().second);
    entries.pop_back();
  }
}

std::string_view PreparedWeights::version() { return kVersion; }

PreparedWeights::PreparedWeights(const Executor& executor, ChunkedData* calibration, std::filesystem::path folder)
    : executor_(executor), calibration_(calibration), folder_(std::move(folder)) {
  fingerprint_.append(kVersion).append(" ").append(executor.network().sha256);
  if (calibration_ != nullptr) fingerprint_ += " " + fingerprint(calibration_->data());
}

std::filesystem::path PreparedWeights::file_of(SiteId id, const Choice& choice) const {
  const Network& network = executor_.network();
  const Tensor& weight = *network.tensor(network.site(id).tensor).constant;
  std::string text = fingerprint_ + " " + network.site(id).name + " " + choice.label + " " +
                     hex(hash64(std::span(weight.bytes(), weight.byte_size())));
  if (choice.bias == BiasCorrection::analytic) {
    const std::vector<float> means = expected(id);
    text += " " + hex(hash64(std::as_bytes(std::span(means))));
  }
  return folder_ / (hex(hash64(text)) + ".npz");
}

PreparedWeights::Moments PreparedWeights::moments(SiteId site, std::span<Executor::WorkspacePtr> workspaces) {
  const Network& network = executor_.network();
  const auto layer = layer_with_moments(network, site);
  if (!layer) return nullptr;
  const LayerId first = first_with_inputs(network, *layer);
  if (const auto* kept = moments_.find({first, {}})) return *kept;
  if (calibration_ == nullptr) throw InputError("data.calibration is not given");
  if (passes_.empty()) passes_ = passes_over(network, workspaces.size());
  const auto has = [&](const auto& pass) {
    return std::ranges::find(pass, first, &MomentsRequest::layer) != pass.end();
  };
  const auto& pass = *std::ranges::find_if(passes_, has);
  auto made = collect_moments(executor_, *calibration_, pass, nullptr, workspaces);
  Moments wanted;
  for (std::size_t i = 0; i < pass.size(); ++i) {
    const auto moments = std::make_shared<const LayerMoments>(std::move(made[i]));
    if (pass[i].layer == first) wanted = moments;
    moments_.keep({pass[i].layer, {}}, moments);
  }
  return wanted;
}

std::vector<float> PreparedWeights::expected(SiteId site) const {
  if (!statistics_) statistics_.emplace(executor_.network());
  return statistics_->of(executor_.network().site(site)).values;
}

QuantizedWeight PreparedWeights::make(SiteId id, const Choice& choice, std::span<Executor::WorkspacePtr> workspaces,
                                      const std::atomic<bool>* stop) {
  const Network& network = executor_.network();
  const Site& site = network.site(id);
  const Layer& layer = network.layer(site.layers.front());
  const Tensor values = network.tensor(site.tensor).constant->cast(DType::f32);
  LayerWeight weight{values.values<float>(), view_of(network, id), nullptr, static_cast<int>(workspaces.size())};
  weight.stop = stop;
  Moments inputs;
  // A head that is the embedding's transpose: its rows are the embedding's, in the same order.
  if (choice.needs_data()) inputs = moments(id, workspaces);
  const bool usable = inputs && inputs->columns == weight.view.per_channel();
  Choice taken = usable || !choice.needs_data() ? choice : without_data(choice);
  if (usable) weight.moments = inputs.get();
  const bool biased = site.layers.size() == 1 && executor_.takes_bias(layer.id);
  std::vector<float> means;
  if (taken.bias == BiasCorrection::analytic) means = expected(id);
  if (!means.empty()) weight.expected = &means;
  if (!biased || (taken.bias == BiasCorrection::analytic && means.empty())) taken.bias = BiasCorrection::none;
  QuantizedWeight out = quantize_layer(weight, taken);
  out.stored_bits = stored_bits(weight.view, choice);
  return out;
}

PreparedWeights::Weight PreparedWeights::get(SiteId site, const Choice& choice,
                                             std::span<Executor::WorkspacePtr> workspaces,
                                             const std::atomic<bool>* stop) {
  const Key key{site, choice.label};
  if (const auto* kept = weights_.find(key)) return *kept;
  if (stop != nullptr && *stop) throw Interrupted("the evaluation was stopped");
  const Network& network = executor_.network();
  const auto file = folder_.empty() ? std::filesystem::path() : file_of(site, choice);
  Weight weight;
  if (!file.empty())
    if (auto read = read_weight(file, view_of(network, site), choice))
      weight = std::make_shared<const QuantizedWeight>(std::move(*read));
  if (!weight) {
    try {
      weight = std::make_shared<const QuantizedWeight>(make(site, choice, workspaces, stop));
    } catch (const InputError& error) {
      throw InputError("weight '" + network.site(site).name + "' as " + choice.label + ": " + error.what());
    }
    if (!file.empty()) store(file, *weight);
  }
  weights_.keep(key, weight);
  return weight;
}

}  // namespace bitplan
