/// \file
/// Putting a release together from what came in and what is already installed.
#pragma once

#include <set>
#include <string>

#include "store.hpp"

namespace edgesmith::installer {

/// Hashes of release files that are neither in incoming/ nor in an installed release.
std::set<std::string> missing_blobs(const Store& store, const Manifest& manifest);

/// Assembles releases/<id> from verified files and syncs it; it appears under its name only when
/// complete. A release of that id that is there and sound is left alone.
/// \return kIntegrity if a file is missing or not what the manifest says, kDevice if there is no
///         room, kFileSystem otherwise.
Status assemble(const Store& store, const Manifest& manifest, const std::string& manifest_bytes);

/// Replaces the installer by the release's, in one step.
Status replace_installer(const Store& store, const std::string& id, const ManifestFile& file);

}  // namespace edgesmith::installer
