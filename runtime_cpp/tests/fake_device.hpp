/// \file
/// A folder of a device, and the installer at work in it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "digest.hpp"
#include "fake_bundle.hpp"
#include "programs.hpp"

namespace edgesmith::test {

inline const std::string kInstaller = EDGESMITH_TEST_INSTALLER;

/// A bundle with this harness.
inline FakeBundle bundle_with(const std::string& harness, int sequence, const std::string& model) {
  return make_bundle(sequence, {{"bin/harness", harness, "app", "0755"},
                                {"lib/libruntime.so.1", "the runtime", "runtime"},
                                {"model/int8.onnx", model, "model"},
                                {"model/fp32.onnx", "large", "bench"},
                                {"golden/samples.safetensors", "golden", "golden"}});
}

/// A bundle whose harness is a script with this exit code.
inline FakeBundle bundle_of(int sequence, const std::string& model, int self_test_code = 0) {
  const std::string script = "#!/bin/sh\nexit " + std::to_string(self_test_code) + "\n";
  return bundle_with(script, sequence, model);
}

struct Device {
  TemporaryFolder folder;
  std::string root = folder / "tiny";

  void drop(const FakeBundle& bundle) const {
    write_text(root + "/incoming/" + bundle.id + ".manifest.json", bundle.manifest);
    for (const auto& file : bundle.files) {
      if (file.role == "bench") continue;
      write_text(root + "/incoming/" + sha256_hex(file.content), file.content);
    }
  }

  int run(const std::string& command, const std::vector<std::string>& more = {}) const {
    return tell(command, more).exit_code;
  }

  /// The same with what it says, on both channels.
  ProgramResult tell(const std::string& command, const std::vector<std::string>& more = {}) const {
    // The last words of sh are the program and its arguments.
    std::vector<std::string> arguments{"/bin/sh",  "-c",    R"(exec "$0" "$@" 2>&1)",
                                       kInstaller, command, root};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  }

  int drop_and_install(const FakeBundle& bundle) const {
    drop(bundle);
    return run("install", {bundle.id});
  }

  std::string link(const std::string& name) const {
    std::error_code error;
    return std::filesystem::read_symlink(root + "/" + name, error).filename().string();
  }

  bool has(const std::string& name) const {
    return std::filesystem::exists(std::filesystem::symlink_status(root + "/" + name));
  }
};

}  // namespace edgesmith::test
