#include "assemble.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <vector>

namespace edgesmith::installer {
namespace {

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
      if (file.sha256 != wanted.sha256 || !is_installed(store.release(id), file)) continue;
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

Status write_some(int fd, const char* data, std::size_t bytes, const std::string& name) {
  Status status = write_all(fd, data, bytes);
  if (status) return status;
  return Error{status.error().code, name + ": " + status.error().message};
}

Status copy_bytes(int from, int to, const std::string& name) {
  std::vector<char> chunk(std::size_t{1} << 16);
  for (;;) {
    const ssize_t got = ::read(from, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read what is to be " + name);
    if (got == 0) return Done{};
    Status status = write_some(to, chunk.data(), static_cast<std::size_t>(got), name);
    if (!status) return status;
  }
}

Result<Descriptor> create(const std::string& path) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return system_error("cannot write " + path);
  return file;
}

/// Only now is it what it is meant to be, also after a power loss.
Status complete(int fd, const std::string& path, unsigned mode) {
  if (::fchmod(fd, mode) != 0) return system_error("cannot set the mode of " + path);
  if (::fsync(fd) != 0) return system_error("cannot sync " + path);
  return Done{};
}

Status copy_file(const Source& source, const std::string& path, unsigned mode) {
  const Result<Descriptor> from = open_below(source.root, source.relative, O_RDONLY);
  if (!from) return from.error();
  const Result<Descriptor> to = create(path);
  if (!to) return to.error();
  if (Status status = copy_bytes(from->get(), to->get(), path); !status) return status;
  return complete(to->get(), path, mode);
}

Status write_new(const std::string& path, unsigned mode, const std::string& bytes) {
  const Result<Descriptor> file = create(path);
  if (!file) return file.error();
  if (Status status = write_some(file->get(), bytes.data(), bytes.size(), path); !status) {
    return status;
  }
  return complete(file->get(), path, mode);
}

/// Puts one file at its place in the folder and checks what then stands there.
Status place(const Store& store, const std::string& folder, const ManifestFile& file) {
  const std::optional<Source> source = find_source(store, file);
  if (!source) {
    return Error{ErrorCode::kIntegrity,
                 file.path + " (" + file.sha256 + ") did not come in whole; send it again"};
  }
  const std::string path = folder + "/" + file.path;
  if (Status status = make_folders_of(folder, file.path); !status) return status;
  const std::string origin = source->root + "/" + source->relative;
  // Sharing an installed file saves space; a link has the mode of what it links to.
  const bool linked =
      source->installed && source->mode == file.mode && ::link(origin.c_str(), path.c_str()) == 0;
  if (!linked) {
    if (Status status = copy_file(*source, path, file.mode); !status) return status;
  }
  if (is_installed(folder, file)) return Done{};
  return Error{ErrorCode::kIntegrity, path + " reads back differently from what was written"};
}

/// Only what came in is copied; the rest is shared with installed releases.
Status check_space(const Store& store, const std::vector<ManifestFile>& files) {
  std::uint64_t needed = kSpaceMarginBytes;
  for (const ManifestFile& file : files) {
    struct stat info{};
    if (::lstat((store.incoming() + "/" + file.sha256).c_str(), &info) != 0) continue;
    needed += static_cast<std::uint64_t>(info.st_size);
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

/// Puts the release together where nothing else looks.
Status build_draft(const Store& store, const Manifest& manifest, const std::string& bytes) {
  const std::string draft = store.draft(manifest.id);
  if (Status status = make_folder(draft); !status) return status;
  for (const ManifestFile& file : release_files(manifest)) {
    if (Status status = place(store, draft, file); !status) return status;
  }
  if (Status status = write_new(draft + "/manifest.json", 0644, bytes); !status) return status;
  return sync_tree(draft);
}

/// Without an exchange there is a moment without the release: recover() ends it.
Status replace_in_two_steps(const Store& store, const std::string& id) {
  const std::string release = store.release(id);
  const std::string aside = store.set_aside(id);
  if (::rename(release.c_str(), aside.c_str()) != 0) {
    return system_error("cannot set aside the damaged " + release);
  }
  if (::rename(store.draft(id).c_str(), release.c_str()) == 0) return Done{};
  Error error = system_error("cannot replace the damaged " + release);
  static_cast<void>(::rename(aside.c_str(), release.c_str()));
  return error;
}

/// Puts the draft in place of a damaged release. \return Where that is now.
Result<std::string> replace_release(const Store& store, const std::string& id) {
  const Result<bool> exchanged = exchange(store.draft(id), store.release(id));
  if (!exchanged) return exchanged.error();
  if (*exchanged) return store.draft(id);
  if (Status status = replace_in_two_steps(store, id); !status) return status.error();
  return store.set_aside(id);
}

/// Gives the draft its final name. A damaged release of that name goes in exchange, so that
/// `current` names a folder at every moment.
Status publish(const Store& store, const std::string& id) {
  const std::string draft = store.draft(id);
  const std::string release = store.release(id);
  if (::rename(draft.c_str(), release.c_str()) == 0) return sync_path(store.releases());
  Error error = system_error("cannot make " + release);
  Result<std::string> replaced = error;
  if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR) {
    replaced = replace_release(store, id);
  }
  if (!replaced) {
    static_cast<void>(remove_tree(draft));
    return replaced.error();
  }
  // What was there goes only when it is certain that it is replaced.
  if (Status status = sync_path(store.releases()); !status) return status;
  return remove_tree(*replaced);
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
  // An earlier installation may have ended before it could sync what is there.
  if (store.verify(manifest.id)) return sync_path(store.releases());
  Status status = check_space(store, release_files(manifest));
  if (status) status = build_draft(store, manifest, manifest_bytes);
  if (status) return publish(store, manifest.id);
  // A full disk must not stay full of what failed; what cannot be removed now, recover() removes.
  static_cast<void>(remove_tree(store.draft(manifest.id)));
  return status;
}

Status replace_installer(const Store& store, const std::string& id, const ManifestFile& file) {
  const std::string path = store.installer();
  const std::string next = store.next_installer();
  Status status = copy_file({store.release(id), file.path, true, file.mode}, next, file.mode);
  if (status && ::rename(next.c_str(), path.c_str()) != 0) {
    status = system_error("cannot replace " + path);
  }
  if (status) return sync_path(store.root());
  static_cast<void>(remove_tree(next));
  return status;
}

}  // namespace edgesmith::installer
