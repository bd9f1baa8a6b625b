#include "store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "digest.hpp"

namespace edgesmith::installer {
namespace {

// Ours have some ten thousand bytes. What a hostile one of this size takes to parse, a device has.
constexpr std::uint64_t kManifestLimitBytes = std::uint64_t{1} << 20;
const char* const kReleasePrefix = "releases/";

Result<std::string> read_below(const std::string& root, const std::string& relative) {
  const Result<Descriptor> file = open_below(root, relative, O_RDONLY | O_NONBLOCK);
  if (!file) return file.error();
  return read_descriptor(file->get(), root + "/" + relative, kManifestLimitBytes);
}

bool is_there(const std::string& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0;
}

}  // namespace

Status Store::prepare() const {
  for (const std::string& path : {root_, incoming(), releases()}) {
    if (Status status = make_folder(path); !status) return status;
  }
  return Done{};
}

bool Store::exists() const { return is_there(root_); }

Status Store::check() const {
  for (const std::string& path : {root_, incoming(), releases()}) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0) {
      if (errno == ENOENT) continue;
      return system_error("cannot read " + path);
    }
    if (!S_ISDIR(info.st_mode)) return Error{ErrorCode::kIntegrity, path + " is not a folder"};
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

Status Store::make_link(const std::string& link, const std::string& id) const {
  const std::string path = next_link(link);
  // A crash may have left one behind; symlink(2) would fail on it for ever.
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return system_error("cannot remove " + path);
  if (::symlink((kReleasePrefix + id).c_str(), path.c_str()) == 0) return Done{};
  // EPERM is what Linux says for file systems without links, such as FAT.
  const bool unable = errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS;
  Error error = system_error("cannot make the link " + path);
  if (unable) error.message += "; the device's root must be on a file system with symbolic links";
  return error;
}

Status Store::place_link(const std::string& link) const {
  const std::string path = root_ + "/" + link;
  if (::rename(next_link(link).c_str(), path.c_str()) != 0) {
    Error error = system_error("cannot switch " + path);
    ::unlink(next_link(link).c_str());
    return error;
  }
  return sync_path(root_);
}

Status Store::point(const std::string& link, const std::string& id) const {
  if (Status status = make_link(link, id); !status) return status;
  return place_link(link);
}

Status Store::swap_links() const {
  const std::optional<std::string> current = linked("current");
  const std::optional<std::string> previous = linked("previous");
  if (!current || !previous) {
    return Error{ErrorCode::kIntegrity, "current and previous do not both name a release"};
  }
  const Result<bool> exchanged = exchange(root_ + "/current", root_ + "/previous");
  if (!exchanged) return exchanged.error();
  if (*exchanged) return sync_path(root_);
  // In between, both links name one release; what is still to be done is on the disk before.
  if (Status status = make_link("previous", *current); !status) return status;
  if (Status status = sync_path(root_); !status) return status;
  if (Status status = point("current", *previous); !status) return status;
  return place_link("previous");
}

bool Store::has_release(const std::string& id) const { return is_there(release(id)); }

std::vector<std::string> Store::release_ids() const {
  Result<std::vector<std::string>> names = names_in(releases());
  if (!names) return {};
  std::vector<std::string> ids;
  std::copy_if(names->begin(), names->end(), std::back_inserter(ids), is_sha256);
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
  const bool came_in = is_there(incoming() + "/" + name);
  if (!came_in && !has_release(id)) {
    return Error{ErrorCode::kIntegrity, "there is no manifest " + incoming() + "/" + name};
  }
  Result<std::string> bytes =
      came_in ? read_below(incoming(), name) : read_below(release(id), "manifest.json");
  if (!bytes) return Error{ErrorCode::kIntegrity, bytes.error().message + "; send it again"};
  if (sha256_hex(*bytes) != id) {
    return Error{ErrorCode::kIntegrity,
                 "the manifest that came in is not of bundle " + id + "; send it again"};
  }
  return bytes;
}

Status Store::verify(const std::string& id) const {
  const Result<Manifest> found = manifest(id);
  if (!found) return found.error();
  for (const ManifestFile& file : release_files(*found)) {
    if (is_installed(release(id), file)) continue;
    return Error{ErrorCode::kIntegrity,
                 "release " + id + ": " + file.path + " is missing or was changed"};
  }
  return Done{};
}

std::vector<ManifestFile> release_files(const Manifest& manifest) {
  const Variant& variant = *manifest.find_variant(manifest.default_variant);
  std::set<std::string> model(variant.data.begin(), variant.data.end());
  model.insert(variant.path);
  std::vector<ManifestFile> files;
  for (const ManifestFile& file : manifest.files) {
    const bool always = file.role == "app" || file.role == "runtime" || file.role == "golden" ||
                        file.role == "licence";
    if (always || (file.role == "model" && model.count(file.path) > 0)) files.push_back(file);
  }
  return files;
}

}  // namespace edgesmith::installer
