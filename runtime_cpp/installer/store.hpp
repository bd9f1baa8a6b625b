/// \file
/// The folder of one model on a device:
///     incoming/     what a transport drops: <bundle id>.manifest.json, and files named by sha256
///     releases/     <bundle id>/, each complete; .tmp-* are leftovers of interrupted work
///     current, previous   links to releases/<bundle id>
///     lock, installer
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "edgesmith/manifest.hpp"
#include "edgesmith/result.hpp"
#include "file.hpp"

namespace edgesmith::installer {

/// Opens a file or folder below `root` without following a link in any part of the path.
/// \param flags As for open(2).
Result<Descriptor> open_below(const std::string& root, const std::string& relative, int flags);

/// Whether the file below `root` is a regular one with this size and hash.
bool matches(const std::string& root, const std::string& relative, const ManifestFile& file);

/// Writes everything of a file or folder to the disk.
Status sync_path(const std::string& path);

class Store {
 public:
  explicit Store(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string incoming() const { return root_ + "/incoming"; }
  std::string releases() const { return root_ + "/releases"; }
  std::string release(const std::string& id) const { return releases() + "/" + id; }

  /// Makes the folders that are missing.
  Status prepare() const;

  /// Holds the lock until the descriptor goes. \return kDevice if another process has it.
  Result<Descriptor> lock() const;

  /// The release that a link ("current", "previous") names; nothing if there is no such link.
  std::optional<std::string> linked(const std::string& link) const;

  /// Lets a link name another release, in one step that a crash cannot split.
  Status point(const std::string& link, const std::string& id) const;

  /// Exchanges `current` and `previous`, in one step where the file system can.
  Status swap_links() const;

  /// Ids of the releases that are there, in ascending order.
  std::vector<std::string> release_ids() const;

  /// The manifest of a release, checked against its id. \return kIntegrity otherwise.
  Result<Manifest> manifest(const std::string& id) const;

  /// The bytes of a manifest: as it came in, or else of the installed release; checked against id.
  Result<std::string> manifest_bytes(const std::string& id) const;

  /// Checks every file of a release. \return kIntegrity naming the first that differs.
  Status verify(const std::string& id) const;

 private:
  std::string root_;
};

/// The files that a release holds: not those that are only for benchmarks.
std::vector<ManifestFile> release_files(const Manifest& manifest);

}  // namespace edgesmith::installer
