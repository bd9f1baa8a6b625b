#include <csignal>
#include <exception>
#include <iostream>

#include "commands.hpp"
#include "measure.hpp"
#include "options.hpp"
#include "output.hpp"

namespace {

using namespace edgesmith;
using namespace edgesmith::harness;

int dispatch(const Options& options) {
  switch (options.command) {
    case Command::kBench:
      return bench_command(options);
    case Command::kVerify:
      return verify_command(options);
    case Command::kInfo:
      return info_command(options);
    case Command::kMeasure:
      return measure_command(options.measure);
    case Command::kHelp:
      std::cout << help_text() << std::flush;
      break;
    case Command::kVersion:
      std::cout << "edgesmith harness " << EDGESMITH_RUNTIME_VERSION << '\n' << std::flush;
      break;
  }
  return std::cout ? 0 : static_cast<int>(ErrorCode::kFileSystem);
}

}  // namespace

int main(int argc, char** argv) {
  // A closed pipe or a file at its size limit is an error of the write, not the end of a
  // measurement.
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  try {
    const Result<Options> options = parse_options(argc, argv);
    if (!options) {
      say("harness: " + options.error().message);
      return exit_code(options.error());
    }
    return dispatch(*options);
  } catch (const std::exception& failure) {
    say(std::string("harness: unexpected failure: ") + failure.what());
    return static_cast<int>(ErrorCode::kHarness);
  }
}
