#include "store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "digest.hpp"

namespace edgesmith::installer {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kManifestLimitBytes = std::uint64_t{16} << 20;
const char* const kReleasePrefix = "releases/";

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return Done{};
  if (errno != EEXIST) return system_error("cannot make " + path);
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return system_error("cannot read " + path);
  if (!S_ISDIR(info.st_mode)) return Error{ErrorCode::kIntegrity, path + " is not a folder"};
  return Done{};
}

Result<std::string> read_below(const std::string& root, const std::string& relative) {
  const Result<Descriptor> file = open_below(root, relative, O_RDONLY | O_NONBLOCK);
  if (!file) return file.error();
  return read_descriptor(file->get(), root + "/" + relative, kManifestLimitBytes);
}

}  // namespace

Result<Descriptor> open_below(const std::string& root, const std::string& relative, int flags) {
  if (!is_safe_relative_path(relative)) {
    return Error{ErrorCode::kIntegrity, "unsafe path " + relative};
  }
  Descriptor folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return system_error("cannot open " + root);
  std::size_t start = 0;
  for (;;) {
    const std::size_t slash = relative.find('/', start);
    const std::string part = relative.substr(start, slash - start);
    const bool last = slash == std::string::npos;
    const int how = last ? flags : O_RDONLY | O_DIRECTORY;
    // Flags of POSIX are signed.
    // NOLINTNEXTLINE(bugprone-signed-bitwise)
    Descriptor next(::openat(folder.get(), part.c_str(), how | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!next) return system_error("cannot open " + root + "/" + relative);
    if (last) return next;
    folder = std::move(next);
    start = slash + 1;
  }
}

bool matches(const std::string& root, const std::string& relative, const ManifestFile& file) {
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  const Result<Descriptor> opened = open_below(root, relative, O_RDONLY | O_NONBLOCK);
  struct stat info{};
  if (!opened || ::fstat(opened->get(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if (static_cast<std::uint64_t>(info.st_size) != file.bytes) return false;
  const Result<FileDigest> digest = digest_descriptor(opened->get(), relative);
  return digest && digest->bytes == file.bytes && digest->sha256 == file.sha256;
}

Status sync_path(const std::string& path) {
  const Descriptor opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!opened || ::fsync(opened.get()) != 0) return system_error("cannot sync " + path);
  return Done{};
}

Status Store::prepare() const {
  for (const std::string& path : {root_, incoming(), releases()}) {
    if (Status status = make_folder(path); !status) return status;
  }
  return Done{};
}

Result<Descriptor> Store::lock() const {
  const std::string path = root_ + "/lock";
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file) return system_error("cannot open " + path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return file;
  if (errno != EWOULDBLOCK) return system_error("cannot lock " + path);
  return Error{ErrorCode::kDevice,
               "another installation is at work in " + root_ + "; try again later"};
}

std::optional<std::string> Store::linked(const std::string& link) const {
  std::array<char, 256> target{};
  const ssize_t length = ::readlink((root_ + "/" + link).c_str(), target.data(), target.size());
  if (length <= 0) return std::nullopt;
  const std::string text(target.data(), static_cast<std::size_t>(length));
  const std::string prefix = kReleasePrefix;
  if (text.compare(0, prefix.size(), prefix) != 0) return std::nullopt;
  const std::string id = text.substr(prefix.size());
  return is_sha256(id) ? std::optional<std::string>(id) : std::nullopt;
}

Status Store::point(const std::string& link, const std::string& id) const {
  const std::string path = root_ + "/" + link;
  const std::string temporary = root_ + "/.tmp-" + link;
  // A crash may have left one behind; symlink(2) would fail on it for ever.
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return system_error("cannot remove " + temporary);
  }
  if (::symlink((kReleasePrefix + id).c_str(), temporary.c_str()) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    return system_error("cannot switch " + path);
  }
  return sync_path(root_);
}

Status Store::swap_links() const {
  constexpr unsigned kExchange = 2;  // RENAME_EXCHANGE, which older headers lack.
  const std::string current = root_ + "/current";
  const std::string previous = root_ + "/previous";
  if (::syscall(SYS_renameat2, AT_FDCWD, current.c_str(), AT_FDCWD, previous.c_str(), kExchange) ==
      0) {
    return sync_path(root_);
  }
  if (errno != ENOSYS && errno != EINVAL) return system_error("cannot switch " + current);
  // Without that call of the kernel there is a moment in which both links name one release.
  const std::optional<std::string> old_current = linked("current");
  const std::optional<std::string> old_previous = linked("previous");
  if (!old_current || !old_previous) {
    return Error{ErrorCode::kIntegrity, "current and previous do not both name a release"};
  }
  if (Status status = point("current", *old_previous); !status) return status;
  return point("previous", *old_current);
}

std::vector<std::string> Store::release_ids() const {
  std::vector<std::string> ids;
  std::error_code error;
  for (fs::directory_iterator entry(releases(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (is_sha256(name)) ids.push_back(name);
  }
  std::sort(ids.begin(), ids.end());
  return ids;
}

Result<Manifest> Store::manifest(const std::string& id) const {
  const Result<std::string> bytes = read_below(release(id), "manifest.json");
  if (!bytes) return Error{ErrorCode::kIntegrity, bytes.error().message};
  if (sha256_hex(*bytes) != id) {
    return Error{ErrorCode::kIntegrity, "the manifest of release " + id + " was changed"};
  }
  Result<Manifest> parsed = parse_manifest(*bytes);
  if (parsed) parsed->id = id;
  return parsed;
}

Result<std::string> Store::manifest_bytes(const std::string& id) const {
  const std::string name = id + ".manifest.json";
  Result<std::string> bytes = read_below(incoming(), name);
  if (!bytes) bytes = read_below(release(id), "manifest.json");
  if (!bytes)
    return Error{ErrorCode::kIntegrity, "there is no manifest " + incoming() + "/" + name};
  if (sha256_hex(*bytes) != id) {
    return Error{ErrorCode::kIntegrity, incoming() + "/" + name + " is not of bundle " + id};
  }
  return bytes;
}

Status Store::verify(const std::string& id) const {
  const Result<Manifest> found = manifest(id);
  if (!found) return found.error();
  for (const ManifestFile& file : release_files(*found)) {
    if (matches(release(id), file.path, file)) continue;
    return Error{ErrorCode::kIntegrity,
                 "release " + id + ": " + file.path + " is missing or was changed"};
  }
  return Done{};
}

std::vector<ManifestFile> release_files(const Manifest& manifest) {
  const std::string& model = manifest.find_variant(manifest.default_variant)->path;
  std::vector<ManifestFile> files;
  for (const ManifestFile& file : manifest.files) {
    const bool always = file.role == "app" || file.role == "runtime" || file.role == "golden" ||
                        file.role == "licence";
    if (always || (file.role == "model" && file.path == model)) files.push_back(file);
  }
  return files;
}

}  // namespace edgesmith::installer
