#include "search/space_settings.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "core/yaml_difference.hpp"

namespace bitplan {
namespace {

/// A setting: whether its value asks for something, whether a choice has the value, and how to give it another one.
struct Setting {
  const char* key;
  bool (*asks)(const ChoiceDefaults&);
  bool (*has)(const Choice&, const ChoiceDefaults&);
  void (*change)(ChoiceDefaults&);
};

bool always(const ChoiceDefaults&) { return true; }

constexpr std::array kSettings{
    Setting{"range", always, [](const Choice& c, const ChoiceDefaults& d) { return c.range == d.range; },
            [](ChoiceDefaults& d) {
              d.range = d.range == RangeMethod::absmax ? RangeMethod::minmax : RangeMethod::absmax;
            }},
    Setting{"percentile", always,
            [](const Choice& c, const ChoiceDefaults& d) {
              return c.range == RangeMethod::percentile && c.percentile == d.percentile;
            },
            [](ChoiceDefaults& d) { d.percentile += d.percentile > 75 ? -1 : 1; }},
    Setting{"symmetric", always,
            [](const Choice& c, const ChoiceDefaults& d) { return c.is_integer() && c.symmetric == d.symmetric; },
            [](ChoiceDefaults& d) { d.symmetric = !d.symmetric; }},
    Setting{"narrow", [](const ChoiceDefaults& d) { return d.narrow; },
            [](const Choice& c, const ChoiceDefaults& d) { return c.narrow == d.narrow; },
            [](ChoiceDefaults& d) { d.narrow = false; }},
    Setting{"rounding", [](const ChoiceDefaults& d) { return d.rounding != ChoiceDefaults().rounding; },
            [](const Choice& c, const ChoiceDefaults& d) { return c.rounding == d.rounding; },
            [](ChoiceDefaults& d) { d.rounding = ChoiceDefaults().rounding; }},
    Setting{"refit", [](const ChoiceDefaults& d) { return d.refit; },
            [](const Choice& c, const ChoiceDefaults& d) { return c.refit == d.refit; },
            [](ChoiceDefaults& d) { d.refit = false; }},
    Setting{"compensation", [](const ChoiceDefaults& d) { return d.bias != BiasCorrection::none; },
            [](const Choice& c, const ChoiceDefaults& d) { return c.bias == d.bias; },
            [](ChoiceDefaults& d) { d.bias = BiasCorrection::none; }},
};

/// weights or activations: what the file says of them.
struct Side {
  Yaml node;
  ChoiceDefaults defaults, of_kind;
  std::vector<Yaml> choices;  ///< items of the list and of rules
};

/// Whether `read` makes another choice, or none, under the defaults with the setting changed.
template <class Read>
bool takes(const Setting& setting, const ChoiceDefaults& defaults, const Read& read) {
  ChoiceDefaults other = defaults;
  setting.change(other);
  const Choice plain = read(defaults);
  try {
    return !(read(other) == plain);
  } catch (const InputError&) {
    return true;
  }
}

/// "int4, int8": the formats that would take the setting beside the others.
std::string formats_that_take(const Setting& setting, const Side& side) {
  std::string names;
  for (const FormatEntry& format : formats()) {
    try {
      if (takes(setting, side.defaults,
                [&](const ChoiceDefaults& defaults) { return parse_choice(format.name, defaults, side.of_kind); }))
        names.append(names.empty() ? "" : ", ").append(format.name);
    } catch (const InputError&) {  // nor can the format be beside the other settings
    }
  }
  return names;
}

void check(const Setting& setting, const Side& side) {
  const auto node = side.node.find(setting.key);
  if (!node || !setting.asks(side.defaults)) return;
  std::string names;
  for (const Yaml& item : side.choices) {
    if (takes(setting, side.defaults,
              [&](const ChoiceDefaults& defaults) { return read_choice(item, defaults, side.of_kind); }))
      return;
    const Choice choice = read_choice(item, side.defaults, side.of_kind);
    if (choice.is_float) continue;
    if (setting.has(choice, side.defaults)) return;
    names.append(names.empty() ? "" : ", ").append(inline_text(item));
  }
  if (names.empty()) return;
  const std::string known = formats_that_take(setting, side);
  node->fail("has no effect on " + names + ": " +
             (known.empty() ? "no format takes it beside the other settings"
                            : "it is for choices that do not say their own, of " + known));
}

}  // namespace

void check_settings(const SpaceSpec& spec) {
  const auto check_side = [&](const char* key, const ChoiceDefaults& defaults, const ChoiceDefaults& of_kind) {
    const auto node = spec.node.find(key);
    if (!node) return;
    Side side{*node, defaults, of_kind, node->at("choices").items()};
    for (const SpaceRule& rule : spec.rules)
      if (const auto list = rule.node.find(key))
        for (const Yaml& item : list->items()) side.choices.push_back(item);
    for (const Setting& setting : kSettings) {
      // An observer's percentile is another setting, which has its own check.
      if (defaults.observed && std::string_view(setting.key) == "percentile") continue;
      check(setting, side);
    }
  };
  check_side("weights", spec.weight_defaults, ChoiceDefaults::weights());
  check_side("activations", spec.activation_defaults, ChoiceDefaults::activations());
}

}  // namespace bitplan
