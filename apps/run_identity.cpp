#include "apps/run_identity.hpp"

#include "core/error.hpp"
#include "core/hash.hpp"
#include "core/yaml_difference.hpp"
#include "eval/prepared_weights.hpp"

namespace bitplan {
namespace {

/// A value below `run` that belongs to the identity, as the documents say it or by default.
std::optional<YamlDifference> difference_of_run(const Yaml& was, const Yaml& now, const std::string& key,
                                                const std::string& by_default) {
  const auto said = [&](const Yaml& document) {
    const auto run = document.find("run");
    const auto value = run ? run->find(key) : std::nullopt;
    return value ? value->text() : by_default;
  };
  if (said(was) == said(now)) return std::nullopt;
  return YamlDifference{"run." + key, said(was), said(now)};
}

std::string said(const std::optional<std::string>& value) { return value ? *value : "not there"; }

/// Which key of the experiment differs; nothing when none does.
std::optional<std::string> changed_key(const Yaml& was, const Yaml& now) {
  auto found = first_difference(was, now, kNotIdentity);
  if (!found) found = difference_of_run(was, now, "chunk", std::to_string(RunSpec{}.chunk));
  if (!found) found = difference_of_run(was, now, "arithmetic", "auto");
  if (found) return found->path + " is " + said(found->now) + ", was " + said(found->was);
  if (identity_text(was) == identity_text(Yaml::parse_text(now.dump(), "now"))) return std::nullopt;
  return "its keys stand in another order or layout";
}

/// Which part that stands in no key differs.
std::string changed_part(const RunReader& run, const RunIdentity& identity) {
  bool known = true;
  for (const auto& part : identity.parts) {
    const auto was = run.meta(part.key);
    known = known && was;
    if (was && *was != part.fingerprint)
      return part.name + " (" + was->substr(0, 16) + ", now " + part.fingerprint.substr(0, 16) + ")";
  }
  return known ? "version of the program" : "model file, data, hardware model or version of the program";
}

/// "experiment: seed is 8, was 7", or what else differs.
std::string what_changed(const RunReader& run, const std::filesystem::path& resolved, const Study& study,
                         const RunIdentity& identity) {
  std::optional<Yaml> was;
  try {
    was = Yaml::parse_file(resolved);
    if (!was->is_map()) throw InputError(resolved.string() + " is not a map with keys");
    if (const auto key = changed_key(*was, study.experiment.document)) return "experiment: " + *key;
  } catch (const InputError& error) {
    return std::string("experiment, model or data; which, resolved.yaml would say: ") + error.what();
  }
  return changed_part(run, identity) + "; no key of the experiment differs";
}

}  // namespace

RunIdentity RunIdentity::of(const Study& study, const Evaluator& evaluator) {
  RunIdentity identity;
  const auto add = [&](const std::string& key, const std::string& name, const std::string& fingerprint) {
    identity.parts.push_back({"fingerprint of " + key, name, fingerprint});
  };
  std::string text = study.experiment.identity() + "model " + study.network->sha256 + '\n';
  add("model", "model file " + study.network->file, study.network->sha256);
  for (const auto role : {Role::calibration, Role::selection, Role::holdout}) {
    const std::string name(name_of(role)), fingerprint = evaluator.data_fingerprint(role);
    text += name + ' ' + fingerprint + '\n';
    add(name, name + " data", fingerprint);
  }
  for (const auto& [name, file] : study.experiment.hardware) {
    const auto fingerprint = sha256_file(file);
    text += "hardware " + name + ' ' + fingerprint + '\n';
    add("hardware " + name, "hardware model " + file.string(), fingerprint);
  }
  for (std::size_t c = 0; c < study.choices->size(); ++c)
    text += (*study.choices)[static_cast<ChoiceId>(c)].label + '\n';
  text.append(PreparedWeights::version());  // the same choices gave other weights before
  identity.hash = hex(hash64(text));
  return identity;
}

RunStore open_run(const std::filesystem::path& directory, const Study& study, const RunIdentity& identity,
                  RunStore::Mode mode) {
  try {
    return RunStore(directory, identity.hash, BITPLAN_VERSION, mode);
  } catch (const InputError&) {
    if (mode == RunStore::Mode::fresh) throw;
    const RunReader run(directory);
    const auto hash = run.meta("identity");
    if (!hash || *hash == identity.hash || run.meta("version") != BITPLAN_VERSION) throw;
    throw InputError((directory / "run.db").string() + ": was begun with another " +
                     what_changed(run, directory / "resolved.yaml", study, identity) +
                     "; start again in another directory");
  }
}

void remember_parts(RunStore& store, const RunIdentity& identity) {
  for (const auto& part : identity.parts) store.set_meta(part.key, part.fingerprint);
}

}  // namespace bitplan
