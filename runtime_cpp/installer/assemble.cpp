#include "assemble.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <vector>

namespace edgesmith::installer {
namespace {

namespace fs = std::filesystem;

// Room for folders and for the manifest.
constexpr std::uint64_t kSpaceMarginBytes = std::uint64_t{1} << 20;

/// Where a verified copy of a file's content is.
struct Source {
  std::string root;
  std::string relative;
  bool installed = false;
  unsigned mode = 0;
};

/// A file of the same content in an installed release.
std::optional<Source> find_installed(const Store& store, const ManifestFile& wanted) {
  for (const std::string& id : store.release_ids()) {
    const Result<Manifest> manifest = store.manifest(id);
    if (!manifest) continue;
    for (const ManifestFile& file : release_files(*manifest)) {
      if (file.sha256 != wanted.sha256) continue;
      if (!matches(store.release(id), file.path, wanted)) continue;
      return Source{store.release(id), file.path, true, file.mode};
    }
  }
  return std::nullopt;
}

std::optional<Source> find_source(const Store& store, const ManifestFile& wanted) {
  if (matches(store.incoming(), wanted.sha256, wanted)) {
    return Source{store.incoming(), wanted.sha256, false, 0};
  }
  return find_installed(store, wanted);
}

Status copy_bytes(int from, int to, const std::string& name) {
  std::vector<char> chunk(std::size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(from, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read " + name);
    if (got == 0) return Done{};
    if (Status status = write_all(to, chunk.data(), static_cast<std::size_t>(got)); !status) {
      return Error{status.error().code, name + ": " + status.error().message};
    }
  }
}

Status copy_file(const Source& source, const std::string& path, unsigned mode) {
  const Result<Descriptor> from = open_below(source.root, source.relative, O_RDONLY);
  if (!from) return from.error();
  const Descriptor to(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!to) return system_error("cannot write " + path);
  if (Status status = copy_bytes(from->get(), to.get(), path); !status) return status;
  if (::fchmod(to.get(), mode) != 0) return system_error("cannot set the mode of " + path);
  if (::fsync(to.get()) != 0) return system_error("cannot sync " + path);
  return Done{};
}

/// Puts one file at its place in the folder and checks what then stands there.
Status place(const Store& store, const std::string& folder, const ManifestFile& file) {
  const std::optional<Source> source = find_source(store, file);
  if (!source) {
    return Error{ErrorCode::kIntegrity,
                 file.path + " (" + file.sha256 + ") did not come in whole; send it again"};
  }
  const std::string path = folder + "/" + file.path;
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) return Error{ErrorCode::kFileSystem, "cannot make the folder of " + path};
  const std::string origin = source->root + "/" + source->relative;
  // Sharing an installed file saves space; a link has the mode of what it links to.
  const bool linked =
      source->installed && source->mode == file.mode && ::link(origin.c_str(), path.c_str()) == 0;
  if (!linked) {
    if (Status status = copy_file(*source, path, file.mode); !status) return status;
  }
  if (matches(folder, file.path, file)) return Done{};
  return Error{ErrorCode::kIntegrity, path + " reads back differently from what was written"};
}

Status check_space(const Store& store, const std::vector<ManifestFile>& files) {
  std::uint64_t needed = kSpaceMarginBytes;
  for (const ManifestFile& file : files) {
    if (needed > UINT64_MAX - file.bytes) {
      return Error{ErrorCode::kIntegrity, "the manifest's sizes cannot be true"};
    }
    needed += file.bytes;
  }
  struct statvfs space{};
  if (::statvfs(store.releases().c_str(), &space) != 0) {
    return system_error("cannot read the free space of " + store.releases());
  }
  const std::uint64_t free_bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
  if (free_bytes >= needed) return Done{};
  return Error{ErrorCode::kDevice, "the release needs " + std::to_string(needed) +
                                       " bytes, the device has " + std::to_string(free_bytes)};
}

Status sync_folders(const std::string& folder) {
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (!entry->is_directory()) continue;
    if (Status status = sync_path(entry->path().string()); !status) return status;
  }
  if (error) return Error{ErrorCode::kFileSystem, "cannot read " + folder};
  return sync_path(folder);
}

/// Renames the folder to its final name; a damaged release of that name goes in exchange, so that
/// `current` names a folder at every moment.
Status publish(const std::string& folder, const std::string& final_name) {
  if (::rename(folder.c_str(), final_name.c_str()) == 0) return Done{};
  if (errno != ENOTEMPTY && errno != EEXIST) return system_error("cannot make " + final_name);
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE, which older headers lack.
  if (::syscall(SYS_renameat2, AT_FDCWD, folder.c_str(), AT_FDCWD, final_name.c_str(), kExchange) !=
      0) {
    return system_error("cannot replace the damaged " + final_name);
  }
  std::error_code error;
  fs::remove_all(folder, error);
  return Done{};
}

}  // namespace

std::set<std::string> missing_blobs(const Store& store, const Manifest& manifest) {
  std::set<std::string> missing;
  for (const ManifestFile& file : release_files(manifest)) {
    if (missing.count(file.sha256) == 0 && !find_source(store, file)) missing.insert(file.sha256);
  }
  return missing;
}

Status assemble(const Store& store, const Manifest& manifest, const std::string& manifest_bytes) {
  if (store.verify(manifest.id)) return Done{};
  const std::vector<ManifestFile> files = release_files(manifest);
  if (Status status = check_space(store, files); !status) return status;
  const std::string folder = store.releases() + "/.tmp-" + manifest.id;
  std::error_code error;
  fs::remove_all(folder, error);
  if (::mkdir(folder.c_str(), 0755) != 0) return system_error("cannot make " + folder);
  for (const ManifestFile& file : files) {
    if (Status status = place(store, folder, file); !status) return status;
  }
  if (Status status = write_file_atomically(folder + "/manifest.json", {manifest_bytes}); !status) {
    return status;
  }
  if (Status status = sync_folders(folder); !status) return status;
  if (Status status = publish(folder, store.release(manifest.id)); !status) return status;
  return sync_path(store.releases());
}

Status replace_file(const Store& store, const std::string& id, const ManifestFile& file,
                    const std::string& path) {
  const std::string temporary = path + ".tmp";
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return system_error("cannot remove " + temporary);
  }
  const Source source{store.release(id), file.path, true, file.mode};
  if (Status status = copy_file(source, temporary, file.mode); !status) return status;
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_error("cannot write " + path);
  return sync_path(store.root());
}

}  // namespace edgesmith::installer
