/// \file
/// Which provider runs which nodes, and how long each operator takes: from a profiled session of
/// its own, after everything else has been measured.
#pragma once

#include <nlohmann/json.hpp>

#include "edgesmith/samples.hpp"
#include "edgesmith/session.hpp"
#include "run_spec.hpp"

namespace edgesmith::harness {

struct Profile {
  nlohmann::json placement;  ///< Nodes by execution provider.
  nlohmann::json elsewhere;  ///< Of other providers than the session's: nodes by operator type.
  nlohmann::json copies;     ///< Nodes that copy between memories: `to_device` and `to_host`.
  /// Nodes that the session's provider left to others, in words; without those that compute shapes,
  /// which the runtime keeps on the CPU on purpose. Empty if there are none.
  std::string misplaced;
  nlohmann::json operators;  ///< The report's profile list; null unless spec.profile.
};

/// \return kFileSystem if there is no folder for temporary files, else what the session returns.
Result<Profile> profile_session(const RunSpec& spec, const SessionSettings& settings,
                                const SampleSource& source);

/// \return kHarness, with the nodes, if the required `provider` left some to others.
Status require_all_nodes(const std::string& provider, const Profile& profile);

/// Reads a profile as ONNX Runtime writes it, of a session whose first provider is `first`.
/// Inferences but the first are counted, if there are several. \return kHarness if it is no such
/// profile.
Result<Profile> parse_profile(const std::string& text,
                              const std::string& first = "CPUExecutionProvider");

/// What the paths of the temporary folders of this process's profile_session() begin with.
std::string profile_folder_prefix(int process_id);

}  // namespace edgesmith::harness
