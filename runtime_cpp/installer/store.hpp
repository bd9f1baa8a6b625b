/// \file
/// The folder of one model on a device:
///     incoming/     what a transport drops: <bundle id>.manifest.json, and files named by sha256
///     releases/     <bundle id>/, each complete; see leftovers.hpp for what else a crash leaves
///     current, previous   links to releases/<bundle id>
///     lock, installer
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "edgesmith/manifest.hpp"
#include "edgesmith/result.hpp"
#include "folders.hpp"

namespace edgesmith::installer {

class Store {
 public:
  explicit Store(std::string root) : root_(std::move(root)) {}

  const std::string& root() const { return root_; }
  std::string incoming() const { return root_ + "/incoming"; }
  std::string releases() const { return root_ + "/releases"; }
  std::string release(const std::string& id) const { return releases() + "/" + id; }
  /// Where a release is put together.
  std::string draft(const std::string& id) const { return releases() + "/.tmp-" + id; }
  /// Where a damaged release waits for its replacement, if the two cannot be exchanged.
  std::string set_aside(const std::string& id) const { return releases() + "/.old-" + id; }
  /// What becomes the link: links are replaced by renaming another over them.
  std::string next_link(const std::string& link) const { return root_ + "/.tmp-" + link; }

  std::string installer() const { return root_ + "/installer"; }
  std::string next_installer() const { return installer() + ".tmp"; }

  /// Makes the folders that are missing. \return kIntegrity if one of them is a link or a file.
  Status prepare() const;

  /// Whether anything was ever installed or sent here.
  bool exists() const;

  /// Whether the folders are what they should be, as far as they are there; changes nothing.
  Status check() const;

  /// Holds the lock until the descriptor goes. \return kDevice if another process has it.
  Result<Descriptor> lock() const;

  /// The release that a link ("current", "previous") names; nothing if there is no such link.
  std::optional<std::string> linked(const std::string& link) const;

  /// Makes a link that names a release, not yet under its name, in place of one that is left over.
  Status make_link(const std::string& link, const std::string& id) const;

  /// Puts such a link in place, in one step that a crash cannot split.
  Status place_link(const std::string& link) const;

  /// Both of these.
  Status point(const std::string& link, const std::string& id) const;

  /// Exchanges `current` and `previous`, in one step where the file system can. Elsewhere
  /// recover() finishes what a crash interrupts.
  Status swap_links() const;

  /// Whether a release of this id is there, sound or not.
  bool has_release(const std::string& id) const;

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
