/// \file
/// Files, folders and links that outlive a power loss; opening below a folder without leaving it.
#pragma once

#include <string>
#include <vector>

#include "edgesmith/manifest.hpp"
#include "edgesmith/result.hpp"
#include "file.hpp"

namespace edgesmith::installer {

/// Opens a file or folder below `root`, following no link: neither at `root` nor in any part of the
/// path below it. \param flags As for open(2).
Result<Descriptor> open_below(const std::string& root, const std::string& relative, int flags);

/// Whether the file below `root` is a regular one with this size and hash.
bool matches(const std::string& root, const std::string& relative, const ManifestFile& file);

/// The same for a file at its own path, which must also be executable if the manifest says so.
bool is_installed(const std::string& root, const ManifestFile& file);

/// Makes a folder unless it is there. \return kIntegrity if something else has its name.
Status make_folder(const std::string& path);

/// Makes the folders that a safe relative file name needs below `root`.
Status make_folders_of(const std::string& root, const std::string& relative);

/// The names in a folder, in no order; none if it is not there.
Result<std::vector<std::string>> names_in(const std::string& folder);

/// Writes everything of a file or folder to the disk.
Status sync_path(const std::string& path);

/// Syncs the folder and all folders below it.
Status sync_tree(const std::string& folder);

/// Syncs a folder and those above it, as far as they are of its file system and may be read:
/// whoever made them may not have.
Status sync_upwards(const std::string& path);

/// Removes a file, a link or a folder with all that is in it; what is not there is no error.
Status remove_tree(const std::string& path);

/// Exchanges two names in one step. \return Whether the kernel and the file system can.
Result<bool> exchange(const std::string& one, const std::string& other);

}  // namespace edgesmith::installer
