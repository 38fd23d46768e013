#include "core/yaml.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "core/error.hpp"
#include "core/files.hpp"

namespace bitplan {

struct Yaml::Impl {
  YAML::Node node;
  std::string file;                ///< as shown in messages
  std::filesystem::path folder;    ///< relative paths start here
  std::string path;                ///< key path of this node
  std::string override_name;       ///< "--set key" when the value came from the command line

  std::shared_ptr<const Impl> child(const YAML::Node& value, const std::string& key_path) const {
    auto impl = std::make_shared<Impl>(*this);
    impl->node.reset(value);
    impl->path = key_path;
    return impl;
  }
};

namespace {

std::string place_of(const std::string& file, const YAML::Mark& mark) {
  if (mark.is_null()) return file;
  return file + ':' + std::to_string(mark.line + 1) + ':' + std::to_string(mark.column + 1);
}

/// yaml-cpp keeps the first of two equal keys and says nothing.
void check_duplicates(const YAML::Node& node, const std::string& file, const std::string& path) {
  if (node.IsMap()) {
    std::set<std::string> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) throw InputError(place_of(file, entry.first.Mark()) + ": keys must be plain words");
      const auto key = entry.first.Scalar();
      const auto key_path = path.empty() ? key : path + '.' + key;
      if (!seen.insert(key).second)
        throw InputError(place_of(file, entry.first.Mark()) + ": " + key_path + ": stands here for the second time");
      check_duplicates(entry.second, file, key_path);
    }
  } else if (node.IsSequence()) {
    std::size_t i = 0;
    for (const auto& item : node) check_duplicates(item, file, path + '[' + std::to_string(i++) + ']');
  }
}

YAML::Node parse(const std::string& text, const std::string& file) {
  YAML::Node node;
  try {
    node = YAML::Load(text);
  } catch (const YAML::Exception& e) {
    throw InputError(place_of(file, e.mark) + ": is not valid YAML: " + e.msg);
  }
  check_duplicates(node, file, "");
  return node;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& known) {
  const auto best = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  if (best == known.end() || edit_distance(word, *best) > std::max<std::size_t>(2, word.size() / 3)) return {};
  return *best;
}

Yaml Yaml::parse_file(const std::filesystem::path& file) {
  auto impl = std::make_shared<Impl>();
  impl->node = parse(read_text(file), file.string());
  impl->file = file.string();
  impl->folder = file.parent_path();
  return Yaml(impl);
}

Yaml Yaml::parse_text(const std::string& text, const std::string& file_name) {
  auto impl = std::make_shared<Impl>();
  impl->node = parse(text, file_name);
  impl->file = file_name;
  impl->folder = std::filesystem::path(file_name).parent_path();
  return Yaml(impl);
}

bool Yaml::is_map() const { return impl_->node.IsMap(); }
bool Yaml::is_list() const { return impl_->node.IsSequence(); }
bool Yaml::is_scalar() const { return impl_->node.IsScalar(); }
const std::string& Yaml::key_path() const { return impl_->path; }

std::string Yaml::place() const {
  if (!impl_->override_name.empty()) return impl_->override_name;
  return place_of(impl_->file, impl_->node.Mark());
}

void Yaml::fail(const std::string& problem) const {
  throw InputError(place() + ": " + (impl_->path.empty() ? "" : impl_->path + ": ") + problem);
}

std::optional<Yaml> Yaml::find(std::string_view key) const {
  if (!is_map()) fail("must be a map with keys");
  const std::string name(key);
  const auto value = impl_->node[name];
  if (!value.IsDefined()) return std::nullopt;
  auto child = std::make_shared<Impl>(*impl_->child(value, impl_->path.empty() ? name : impl_->path + '.' + name));
  if (value.Tag() == "!set") child->override_name = "--set " + child->path;
  return Yaml(child);
}

Yaml Yaml::at(std::string_view key) const {
  if (auto found = find(key)) return *found;
  fail("the key '" + std::string(key) + "' is missing");
}

std::vector<std::string> Yaml::keys() const {
  if (!is_map()) fail("must be a map with keys");
  std::vector<std::string> keys;
  for (const auto& entry : impl_->node) keys.push_back(entry.first.Scalar());
  return keys;
}

std::vector<Yaml> Yaml::items() const {
  if (!is_list()) fail("must be a list");
  std::vector<Yaml> items;
  for (std::size_t i = 0; i < impl_->node.size(); ++i) {
    auto child = std::make_shared<Impl>(*impl_->child(impl_->node[i], impl_->path + '[' + std::to_string(i) + ']'));
    if (impl_->node[i].Tag() == "!set") child->override_name = "--set " + child->path;
    items.push_back(Yaml(child));
  }
  return items;
}

void Yaml::only(std::initializer_list<std::string_view> known) const {
  only(std::vector<std::string>(known.begin(), known.end()));
}

void Yaml::only(const std::vector<std::string>& known) const {
  for (const auto& entry : impl_->node) {
    const auto key = entry.first.Scalar();
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const auto key_path = impl_->path.empty() ? key : impl_->path + '.' + key;
    const auto guess = nearest(key, known);
    const auto at = impl_->override_name.empty() && entry.second.Tag() != "!set"
                        ? place_of(impl_->file, entry.first.Mark()) : "--set " + key_path;
    throw InputError(at + ": " + key_path + ": is not a known key" +
                     (guess.empty() ? "; known: " + joined(known) : "; did you mean '" + guess + "'?"));
  }
}

std::string Yaml::text() const {
  if (!is_scalar()) fail("must be a single value");
  return impl_->node.Scalar();
}

double Yaml::number() const {
  const auto quantity = parse_quantity(text());
  if (!quantity || quantity->kind != Quantity::Kind::plain) fail("must be a number, is '" + text() + "'");
  return quantity->value;
}

double Yaml::number_in(double low, double high) const {
  const double value = number();
  if (!(value >= low && value <= high)) {
    const auto show = [](double v) { auto s = std::to_string(v); s.erase(s.find_last_not_of('0') + 1); if (s.back() == '.') s.pop_back(); return s; };
    fail("must be from " + show(low) + " to " + show(high) + ", is " + text());
  }
  return value;
}

std::int64_t Yaml::integer() const {
  const double value = number();
  if (value != std::floor(value) || std::abs(value) > 9e15) fail("must be a whole number, is '" + text() + "'");
  return static_cast<std::int64_t>(value);
}

std::int64_t Yaml::integer_in(std::int64_t low, std::int64_t high) const {
  const auto value = integer();
  if (value < low || value > high)
    fail("must be from " + std::to_string(low) + " to " + std::to_string(high) + ", is " + text());
  return value;
}

bool Yaml::boolean() const {
  const auto word = text();
  if (word == "true") return true;
  if (word == "false") return false;
  fail("must be true or false, is '" + word + "'");
}

Quantity Yaml::quantity() const {
  const auto quantity = parse_quantity(text());
  if (!quantity) fail("must be a number with a unit (as 1.2MB, 2ms, 3h30m, 50%, 4.25), is '" + text() + "'");
  return *quantity;
}

double Yaml::seconds() const {
  const auto q = quantity();
  if ((q.kind != Quantity::Kind::time && q.kind != Quantity::Kind::plain) || q.value < 0)
    fail("must be a time (as 300s, 2m, 1h30m), is '" + text() + "'");
  return q.value;
}

std::filesystem::path Yaml::path() const {
  std::string in = text(), out;
  for (std::size_t at = 0; at < in.size();) {
    if (in.compare(at, 6, "${env:") != 0) {
      out += in[at++];
      continue;
    }
    const auto close = in.find('}', at);
    if (close == std::string::npos) fail("has ${env: without }: '" + in + "'");
    const auto body = in.substr(at + 6, close - at - 6);
    const auto split = body.find(":-");
    const auto name = body.substr(0, split);
    const char* value = std::getenv(name.c_str());
    if (value == nullptr && split == std::string::npos) fail("the environment variable " + name + " is not set");
    out += value != nullptr ? std::string(value) : body.substr(split + 2);
    at = close + 1;
  }
  if (out.empty()) fail("must be a path, is empty");
  const std::filesystem::path path(out);
  return path.is_absolute() || impl_->folder.empty() ? path : impl_->folder / path;
}

namespace {

/// Sets the value at "a.b[2].c" below `root`. Maps that are not there are made, list items must be: whoever reads the
/// document finds keys that it does not know.
void set_value(YAML::Node root, const std::string& path, const YAML::Node& value, const std::string& option) {
  std::vector<std::string> steps;   // keys; "[2]" for indices
  for (std::size_t at = 0; at < path.size();) {
    const auto end = path[at] == '[' ? path.find(']', at) + 1 : std::min(path.find_first_of(".[", at), path.size());
    if (end == 0) throw InputError(option + ": '[' without ']'");
    steps.push_back(path.substr(at, end - at));
    at = end < path.size() && path[end] == '.' ? end + 1 : end;
  }
  YAML::Node node;
  node.reset(root);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const auto& step = steps[i];
    const bool last = i + 1 == steps.size();
    YAML::Node next;
    if (step.front() == '[') {
      const auto index = parse_quantity(std::string_view(step).substr(1, step.size() - 2));
      if (!node.IsSequence() || !index || index->value < 0 || index->value >= static_cast<double>(node.size()))
        throw InputError(option + ": there is no item " + step);
      const auto n = static_cast<std::size_t>(index->value);
      if (last) { node[n] = value; return; }
      next.reset(node[n]);
    } else {
      if (!node.IsMap()) throw InputError(option + ": '" + step + "' is below something that is no map");
      if (last) { node[step] = value; return; }
      if (!node[step].IsDefined()) node[step] = YAML::Node(YAML::NodeType::Map);
      next.reset(node[step]);
    }
    node.reset(next);
  }
}

}  // namespace

Yaml Yaml::with(const std::string& assignment) const {
  const auto equals = assignment.find('=');
  const auto option = "--set " + assignment.substr(0, equals);
  if (equals == std::string::npos || equals == 0) throw UsageError("--set needs key=value, got '" + assignment + "'");
  auto value = parse(assignment.substr(equals + 1), option);
  value.SetTag("!set");  // messages then cite the option, not a line of the file
  auto impl = std::make_shared<Impl>(*impl_);
  impl->node.reset(YAML::Clone(impl_->node));
  set_value(impl->node, assignment.substr(0, equals), value, option);
  return Yaml(impl);
}

namespace {

void emit(YAML::Emitter& out, const YAML::Node& node) {
  if (node.IsMap()) {
    if (node.Style() == YAML::EmitterStyle::Flow) out << YAML::Flow;
    out << YAML::BeginMap;
    for (const auto& entry : node) {
      out << YAML::Key << entry.first.Scalar() << YAML::Value;
      emit(out, entry.second);
    }
    out << YAML::EndMap;
  } else if (node.IsSequence()) {
    if (node.Style() == YAML::EmitterStyle::Flow) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const auto& item : node) emit(out, item);
    out << YAML::EndSeq;
  } else if (node.IsScalar()) {
    out << node.Scalar();
  } else {
    out << YAML::Null;
  }
}

}  // namespace

std::string Yaml::dump() const {
  YAML::Emitter out;
  emit(out, impl_->node);
  return std::string(out.c_str()) + '\n';
}

}  // namespace bitplan
