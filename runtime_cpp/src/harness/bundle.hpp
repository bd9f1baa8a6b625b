/// \file
/// The models and samples to work on: those of the bundle around this program, or loose files.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "edgesmith/manifest.hpp"
#include "options.hpp"

namespace edgesmith::harness {

/// A variant whose file is there and is what the manifest says.
struct Candidate {
  Variant variant;
  std::string model_path;
  std::string sha256;
  std::uint64_t bytes = 0;
};

struct Workload {
  std::vector<Candidate> candidates;  ///< At least one.
  std::string samples_path;
  std::vector<std::string> metrics;  ///< At least one; the first decides.
};

/// The bundle and what is known of it, for the report also when the rest fails.
struct Bundle {
  std::string root;  ///< Empty for loose files.
  Manifest manifest;
};

/// Reads the manifest beside this program, or describes the loose model of the options.
/// \return kIntegrity if there is no sound manifest.
Result<Bundle> open_bundle(const Options& options);

/// Checks the chosen models against their hashes.
/// \param names Empty: every variant whose file is there.
/// \param samples_names Files of the bundle that may hold the samples; the first that is there.
/// \return kUsage for a variant that the bundle does not have, kIntegrity for a file that is not
///         there or not the manifest's, kFileSystem if a loose file cannot be read.
Result<Workload> open_workload(const Bundle& bundle, const Options& options,
                               const std::vector<std::string>& names,
                               const std::vector<std::string>& samples_names);

/// Whether a file of the bundle is the one that its manifest lists. \return kIntegrity if not.
Status check_bundle_file(const Bundle& bundle, const std::string& relative);

/// The report's context.bundle.
nlohmann::json bundle_json(const Bundle& bundle, const std::vector<Candidate>& loose);

/// What stands in the report where no bundle could be read.
nlohmann::json unknown_bundle_json(const std::string& reason);

}  // namespace edgesmith::harness
