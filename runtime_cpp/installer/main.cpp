#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "commands.hpp"
#include "shown.hpp"

namespace {

using namespace edgesmith;
using namespace edgesmith::installer;

constexpr const char* kHelp = R"(Installs releases of one model into a folder of this device.

installer need DIR ID         prints the sha256 of the files that have yet to be sent
installer install DIR ID [--no-self-test] [--self-test-timeout SECONDS] [--allow-downgrade]
                              [--emulator WORD]...   what runs the self-test on an emulated device
installer rollback DIR        makes the previous release current
installer list DIR [--json]
installer verify DIR [ID]     checks the files of a release (the current one)

A transport first writes DIR/incoming/<ID>.manifest.json and DIR/incoming/<sha256> files.
Exit codes: 0 done, 2 usage, 6 device busy or full, 7 integrity, 8 self-test, 10 file system.
)";

Error usage(const std::string& message) {
  return {ErrorCode::kUsage, message + "; see installer --help"};
}

struct Arguments {
  std::vector<std::string> words;  ///< Command, folder, id.
  InstallOptions install;
  bool json = false;
};

Result<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  std::vector<std::string> options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.compare(0, 2, "--") != 0) {
      arguments.words.push_back(word);
      continue;
    }
    options.push_back(word);
    if (word == "--no-self-test") {
      arguments.install.self_test = false;
    } else if (word == "--allow-downgrade") {
      arguments.install.allow_downgrade = true;
    } else if (word == "--json") {
      arguments.json = true;
    } else if (word == "--emulator" && i + 1 < argc) {
      arguments.install.emulator.emplace_back(argv[++i]);
    } else if (word == "--self-test-timeout" && i + 1 < argc) {
      const std::string seconds = argv[++i];
      if (seconds.empty() || seconds.size() > 6 ||
          seconds.find_first_not_of("0123456789") != std::string::npos) {
        return usage("--self-test-timeout takes seconds, not '" + seconds + "'");
      }
      arguments.install.self_test_timeout_seconds = std::stoi(seconds);
    } else {
      return usage("unknown option or missing value: " + word);
    }
  }
  if (arguments.words.empty()) return usage("a command is missing");
  const std::string& command = arguments.words.front();
  for (const std::string& option : options) {
    const bool fits = option == "--json" ? command == "list" : command == "install";
    if (!fits) return usage(command + " does not take " + option);
  }
  return arguments;
}

Status dispatch(const Arguments& arguments) {
  const std::vector<std::string>& words = arguments.words;
  const std::string& command = words[0];
  const bool takes_id = command == "need" || command == "install" || command == "verify";
  const bool needs_id = takes_id && command != "verify";
  if (!takes_id && command != "rollback" && command != "list") {
    return usage("unknown command '" + command + "'");
  }
  if (words.size() < (needs_id ? 3U : 2U) || words.size() > (takes_id ? 3U : 2U)) {
    return usage("wrong number of arguments for " + command);
  }
  const std::string id = words.size() > 2 ? words[2] : "";
  if (!id.empty() && !is_sha256(id)) return usage("'" + id + "' is no bundle id");
  if (words[1].empty() || words[1] == "/") return usage("DIR may not be '" + words[1] + "'");
  const Store store(words[1]);
  if (command == "need") return need(store, id);
  if (command == "install") return install(store, id, arguments.install);
  if (command == "rollback") return rollback(store);
  if (command == "list") return list(store, arguments.json);
  return verify(store, id);
}

}  // namespace

int main(int argc, char** argv) {
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  try {
    if (argc == 2 && std::string(argv[1]) == "--help") {
      std::cout << kHelp;
      return 0;
    }
    const Result<Arguments> arguments = parse(argc, argv);
    Status status = arguments ? dispatch(*arguments) : Status(arguments.error());
    if (status && !std::cout.flush()) status = Error{ErrorCode::kFileSystem, "cannot write stdout"};
    if (status) return 0;
    // Words of manifests and names of files may be in it.
    std::cerr << "installer: " << shown(status.error().message) << "\n";
    return exit_code(status.error());
  } catch (const std::exception& failure) {
    std::cerr << "installer: unexpected failure: " << failure.what() << "\n";
    return static_cast<int>(ErrorCode::kFileSystem);
  }
}
