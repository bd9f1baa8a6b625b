/// \file
/// The harness's command line, a word on each line of the input: what is accepted is in range.
#include <getopt.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "affinity.hpp"
#include "fuzz_target.hpp"
#include "options.hpp"

namespace {

using namespace edgesmith;
using namespace edgesmith::harness;
using fuzz::require;

/// A program parses its command line once; a second time, the parser must forget the first.
void reset_parser() {
  std::string program = "harness";
  std::array<char*, 2> none{program.data(), nullptr};
  ::optind = 0;
  ::getopt_long(1, none.data(), "", nullptr, nullptr);
}

void use(const Options& options) {
  require(std::isfinite(options.min_seconds) && options.min_seconds >= 0, "seconds are in range");
  require(options.min_iterations >= 1, "at least one iteration is measured");
  require(options.processes >= 1 && options.processes <= 1000, "processes are in range");
  require(options.min_sqnr_db >= 0 || options.min_sqnr_db == -1, "the ratio is in range");
  for (const int threads : options.threads) {
    require(threads >= 0 && threads <= 4096, "threads are in range");
  }
  for (const Scenario& scenario : options.scenarios) {
    const Result<Scenario> again = parse_scenario(scenario_name(scenario));
    require(again && again->kind == scenario.kind, "a scenario is read again by its name");
  }
  require(options.cpus.empty() || parse_cpus(options.cpus), "the CPUs can be read again");
  for (const Shape& shape : options.shapes) {
    for (const auto& [name, size] : shape) require(size >= 1, "sizes are in range");
  }
  require(options.model_path.empty() || !options.samples_path.empty(), "a model has its samples");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  std::vector<std::string> words{"harness"};
  std::string word;
  for (std::size_t i = 0; i < bytes; ++i) {
    // A command line holds no NUL.
    if (data[i] != '\n' && data[i] != '\0') {
      word.push_back(static_cast<char>(data[i]));
      continue;
    }
    words.push_back(std::exchange(word, {}));
  }
  if (!word.empty()) words.push_back(std::move(word));
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& one : words) argv.push_back(one.data());
  argv.push_back(nullptr);
  reset_parser();
  const Result<Options> options = parse_options(static_cast<int>(words.size()), argv.data());
  if (options) {
    use(*options);
  } else {
    fuzz::require_refusal(options.error(), ErrorCode::kUsage);
  }
  return 0;
}
