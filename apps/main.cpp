#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>

#include "apps/commands.hpp"
#include "apps/exit_status.hpp"
#include "core/error.hpp"

namespace bitplan {
namespace {

using Run = std::function<int()>;

CLI::App* command(CLI::App& app, const std::string& name, const std::string& summary, const std::string& example) {
  auto* sub = app.add_subcommand(name, summary);
  sub->footer("Example:\n  " + example);
  return sub;
}

void add_set(CLI::App* sub, std::vector<std::string>& set) {
  sub->add_option("--set", set, "Override a value of the experiment: key=value, as search[1].evaluations=50")
      ->type_name("KEY=VALUE")->allow_extra_args(false);
}

void add_search(CLI::App& app, Run& run, const std::vector<std::string>& argv) {
  auto* sub = command(app, "search", "Search bit-widths as an experiment says; under mpirun on all ranks",
                      "mpirun -n 2 bitplan search examples/quickstart.yaml --out runs/first --set seed=7");
  auto o = std::make_shared<SearchOptions>();
  o->command = argv;
  sub->add_option("experiment", o->experiment, "Experiment file (YAML)")->required();
  sub->add_option("--out", o->out, "Run directory instead of output.directory");
  sub->add_flag("--resume", o->resume, "Go on with the run that the directory holds");
  sub->add_flag("--json", o->json, "Print the result as one JSON object");
  add_set(sub, o->set);
  sub->callback([&run, o] { run = [o] { return search_command(*o); }; });
}

void add_inspect(CLI::App& app, Run& run) {
  auto* sub = command(app, "inspect", "Layers, sites, ties and totals of a model; all unsupported operators at once",
                      "bitplan inspect model.onnx --shape input=1x3x224x224 --json");
  auto o = std::make_shared<InspectOptions>();
  sub->add_option("model", o->model, "ONNX file")->required();
  sub->add_option("--shape", o->shapes, "Shape of an input, N is the batch")->type_name("NAME=1x3x32x32")->allow_extra_args(false);
  sub->add_flag("--attention", o->attention, "Operands of products of two computed tensors (attention) are sites too");
  sub->add_flag("--json", o->json, "Print one JSON object");
  sub->callback([&run, o] { run = [o] { return inspect_command(*o); }; });
}

void add_run(CLI::App& app, Run& run) {
  auto* sub = command(app, "run", "Float forward pass: one .npy per output",
                      "bitplan run model.onnx --input x=images.npy --out outputs");
  auto o = std::make_shared<RunOptions>();
  sub->add_option("model", o->model, "ONNX file")->required();
  sub->add_option("--input", o->inputs, "Values of an input, samples first")->type_name("NAME=FILE.npy")->allow_extra_args(false);
  sub->add_option("--out", o->out, "Folder for the outputs")->required();
  sub->add_option("--threads", o->threads, "Threads; 0: all")->check(CLI::Range(0, 4096));
  sub->callback([&run, o] { run = [o] { return run_command(*o); }; });
}

void add_evaluate(CLI::App& app, Run& run) {
  auto* sub = command(app, "evaluate", "Losses and costs of one assignment",
                      "bitplan evaluate exp.yaml --uniform w4a8 --on holdout");
  auto o = std::make_shared<EvaluateOptions>();
  sub->add_option("experiment", o->experiment, "Experiment file (YAML)")->required();
  auto* which = sub->add_option_group("assignment", "what to evaluate");
  which->add_option("--plan", o->plan, "A plan.json");
  which->add_option("--uniform", o->uniform, "All layers alike: w4a8, or choices as in mxfp4/int8")->type_name("w4a8");
  which->add_flag("--float", o->as_float, "The network as it is");
  which->add_flag("--each", o->each, "Every pair of the space's choices, for weights and activations, in a table");
  which->require_option(1);
  sub->add_option("--finish", o->finish, "After final passes: sequential or asymmetric, bias or bias:element, as in asymmetric,bias")
      ->delimiter(',')
      ->check(CLI::IsMember({"sequential", "asymmetric", "bias", "bias:element"}));
  sub->add_option("--on", o->on, "calibration, selection or holdout")->capture_default_str();
  sub->add_flag("--json", o->json, "Print one JSON object");
  add_set(sub, o->set);
  sub->callback([&run, o] { run = [o] { return o->each ? evaluate_each_command(*o) : evaluate_command(*o); }; });
}

void add_sensitivity(CLI::App& app, Run& run) {
  auto* sub = command(app, "sensitivity", "Loss of each site x choice alone, with intervals",
                      "bitplan sensitivity exp.yaml --out sensitivity.csv");
  auto o = std::make_shared<SensitivityOptions>();
  sub->add_option("experiment", o->experiment, "Experiment file (YAML)")->required();
  sub->add_option("--out", o->out, "Write the table as CSV");
  sub->add_flag("--json", o->json, "Print one JSON object");
  add_set(sub, o->set);
  sub->callback([&run, o] { run = [o] { return sensitivity_command(*o); }; });
}

void add_cost(CLI::App& app, Run& run) {
  auto* sub = command(app, "cost", "Each layer's cost under each hardware model",
                      "bitplan cost exp.yaml --uniform w4a8 --hw edge");
  auto o = std::make_shared<CostOptions>();
  sub->add_option("experiment", o->experiment, "Experiment file (YAML)")->required();
  sub->add_option("--hw", o->hardware, "One of the experiment's hardware models; default all");
  auto* which = sub->add_option_group("assignment", "whose cost");
  which->add_option("--plan", o->plan, "A plan.json");
  which->add_option("--uniform", o->uniform, "All layers alike: w4a8, float, or choices as in mxfp4/int8")
      ->type_name("w4a8");
  which->require_option(1);
  sub->add_flag("--json", o->json, "Print one JSON object");
  add_set(sub, o->set);
  sub->callback([&run, o] { run = [o] { return cost_command(*o); }; });
}

void add_quantize(CLI::App& app, Run& run) {
  auto* sub = command(app, "quantize", "One tensor under one choice: codes, scales, dequantized values, errors",
                      "bitplan quantize weight.npy --choice int4:g64+mse --out quantized --json");
  auto o = std::make_shared<QuantizeOptions>();
  sub->add_option("tensor", o->tensor, "The weight (.npy, floating point)")->required();
  sub->add_option("--choice", o->choice,
                  "As in an experiment: int4:g64, nf4, mxfp4, ternary, ...; but int4 alone is the plain recipe here "
                  "(symmetric, range mse, nearest), int4+tuned what int4 alone is there")
      ->required();
  sub->add_option("--out", o->out,
                  "Folder for codes, scales, zero points, code books and values; those of an earlier choice are replaced")
      ->required();
  sub->add_option("--axis", o->axis, "Axis of the channels (negative: from the last)")->capture_default_str();
  sub->add_option("--act", o->act, "Inputs [samples, reduction] of the weight: for choices that need data, and for the output error")->type_name("FILE.npy");
  sub->add_flag("--json", o->json, "Print one JSON object");
  sub->callback([&run, o] { run = [o] { return quantize_command(*o); }; });
}

void add_observe(CLI::App& app, Run& run) {
  auto* sub = command(app, "observe", "The range that an observer finds for activations, and its error on them",
                      "bitplan observe batch0.npy batch1.npy --observer percentile --percentile 99.9 --bits 8 --json");
  auto o = std::make_shared<ObserveOptions>();
  sub->add_option("files", o->files, "Batches of values (.npy, floating point), in order")->required();
  sub->add_option("--observer", o->observer, "One of `bitplan list observers`")->capture_default_str();
  sub->add_option("--bits", o->bits, "Bits of the quantizer")->capture_default_str()->check(CLI::Range(2, 8));
  sub->add_flag("--symmetric", o->symmetric, "Zero point 0, codes on both sides");
  sub->add_flag("--narrow", o->narrow, "Symmetric without the lowest code");
  sub->add_option("--percentile", o->percentile, "Per cent of the values inside")->check(CLI::Range(50.0, 100.0));
  sub->add_option("--momentum", o->momentum, "Weight of earlier batches in a moving average")->check(CLI::Range(0.0, 1.0));
  sub->add_option("--axis", o->axis, "One quantizer for each channel along this axis (negative: from the last)");
  sub->add_flag("--per-token", o->per_token, "One quantizer for each row of the last dimension, from that row alone");
  sub->add_flag("--json", o->json, "Print one JSON object");
  sub->callback([&run, o] { run = [o] { return observe_command(*o); }; });
}

void add_status(CLI::App& app, Run& run) {
  auto* sub = command(app, "status", "How far a run is, or how it ended", "bitplan status runs/first --field state");
  auto o = std::make_shared<StatusOptions>();
  sub->add_option("run", o->run, "Run directory")->required();
  sub->add_option("--field", o->field, "Print this field alone, for scripts");
  sub->add_flag("--json", o->json, "Print one JSON object");
  sub->callback([&run, o] { run = [o] { return status_command(*o); }; });
}

void add_list(CLI::App& app, Run& run) {
  auto* sub = command(app, "list", "What there is to choose from: searchers, metrics, observers, …", "bitplan list searchers");
  auto o = std::make_shared<ListOptions>();
  sub->add_option("family", o->family, "One family; default all");
  sub->add_flag("--json", o->json, "Print one JSON object");
  sub->callback([&run, o] { run = [o] { return list_command(*o); }; });
}

void add_bench(CLI::App& app, Run& run) {
  auto* sub = command(app, "bench", "Speed of evaluations on this machine, or the signature of a fixed search",
                      "bitplan bench examples/quickstart.yaml");
  auto o = std::make_shared<BenchOptions>();
  sub->add_option("experiment", o->experiment, "Experiment file; default the shipped example");
  sub->add_flag("--signature", o->signature, "Hash of the trace of a small fixed search, equal on any number of ranks");
  sub->add_flag("--json", o->json, "Print one JSON object");
  sub->callback([&run, o] { run = [o] { return bench_command(*o); }; });
}

int main_(int argc, char** argv) {
  CLI::App app{"bitplan finds how many bits each layer of a trained network should have.", "bitplan"};
  app.set_version_flag("--version", std::string("bitplan ") + BITPLAN_VERSION);
  app.require_subcommand(1);
  app.footer("Exit status: 0 done, 1 failure, 2 usage, 3 invalid input, 4 infeasible, 75 interrupted and resumable.");
  Run run;
  add_search(app, run, {argv, argv + argc});
  add_inspect(app, run);
  add_run(app, run);
  add_evaluate(app, run);
  add_sensitivity(app, run);
  add_cost(app, run);
  add_quantize(app, run);
  add_observe(app, run);
  add_status(app, run);
  add_list(app, run);
  add_bench(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    app.exit(e, std::cerr, std::cerr);
    return 2;
  }
  try {
    return run();
  } catch (...) {
    return report_error(std::current_exception());
  }
}

}  // namespace
}  // namespace bitplan

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is a failed write, not a killed run
  return bitplan::main_(argc, argv);
}
