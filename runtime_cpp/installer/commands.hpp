/// \file
/// The installer's commands. Results go to stdout, messages to stderr.
#pragma once

#include <string>
#include <vector>

#include "store.hpp"

namespace edgesmith::installer {

struct InstallOptions {
  bool self_test = true;
  bool allow_downgrade = false;
  int self_test_timeout_seconds = 300;
  std::vector<std::string> emulator;  ///< Program and arguments that run the self-test.
};

/// Prints the hashes of the files that have yet to be sent, one a line.
Status need(const Store& store, const std::string& id);

/// Verifies, assembles, tests and activates a release; can be run again after any interruption.
/// \return kDevice (busy, full), kIntegrity (a file or an older sequence), kHarness (the self-test
///         failed; the old release stays current) or kFileSystem.
Status install(const Store& store, const std::string& id, const InstallOptions& options);

/// Makes the previous release current, and the current one previous.
Status rollback(const Store& store);

/// Prints the installed releases.
Status list(const Store& store, bool as_json);

/// Checks every file of a release, by default the current one.
Status verify(const Store& store, const std::string& id);

/// Runs `<release>/bin/harness verify`. \return kHarness if it fails, cannot start, or is not done
/// in time.
Status self_test(const std::string& release, int timeout_seconds,
                 const std::vector<std::string>& emulator);

}  // namespace edgesmith::installer
