#include "engine_cache.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "checksum.hpp"
#include "strict_json.hpp"

namespace edgesmith {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kRecord = "edgesmith-engines.json";
// It also marks a folder as one for engines: what others keep is not ours to remove.
constexpr const char* kLock = ".edgesmith-engines.lock";
constexpr std::uint64_t kRecordLimitBytes = std::uint64_t{1} << 20;

/// An open folder as part of a path: whatever its name leads to later.
std::string inside(const Descriptor& folder) {
  return "/proc/self/fd/" + std::to_string(folder.get());
}

/// What a provider left: every regular file, by its path below the folder.
json files_in(const std::string& folder) {
  json files = json::object();
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    const std::string name = entry.path().lexically_relative(folder).string();
    if (name == kRecord || name == kLock || !entry.is_regular_file(error)) continue;
    const Result<std::string> sum = checksum_of(entry.path().string());
    files[name] = {{"bytes", entry.file_size(error)}, {"checksum", sum ? *sum : ""}};
  }
  return files;
}

/// Everything but the lock goes.
void clear(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().filename() != kLock) fs::remove_all(entry.path(), error);
  }
}

bool is_empty(const std::string& folder) {
  std::error_code error;
  return std::all_of(
      fs::directory_iterator(folder, error), fs::directory_iterator(),
      [](const fs::directory_entry& entry) { return entry.path().filename() == kLock; });
}

/// What seal() noted in a folder. \return kFileSystem, with why there is nothing to go by.
Result<json> read_record(const std::string& folder) {
  const Result<std::string> text = read_file(folder + "/" + kRecord, kRecordLimitBytes);
  if (!text) return Error{ErrorCode::kFileSystem, "the last one was not finished"};
  Result<json> record = parse_strict_json(*text);
  if (!record || !record->is_object() || !record->value("made_for", json()).is_object()) {
    return Error{ErrorCode::kFileSystem, std::string(kRecord) + " is damaged"};
  }
  return record;
}

/// Why what lies in a folder cannot be used; empty if it can.
std::string unusable(const std::string& folder,
                     const std::map<std::string, std::string>& made_for) {
  const Result<json> record = read_record(folder);
  if (!record) return record.error().message;
  const json& before = record->at("made_for");
  for (const auto& [key, value] : made_for) {
    const json found = before.value(key, json(nullptr));
    if (found.is_string() && found.get<std::string>() == value) continue;
    return "it was made with another " + key;
  }
  for (const auto& [key, value] : before.items()) {
    if (made_for.count(key) == 0) return "it was made with another " + key;
  }
  const json now = files_in(folder);
  const json then = record->value("files", json::object());
  for (const auto& [name, facts] : then.items()) {
    if (!now.contains(name)) return name + " is missing";
    if (now[name] != facts) return name + " was changed";
  }
  return then.size() == now.size() ? std::string() : "files were added to it";
}

/// Whether the record in a folder was written for this.
bool record_is_for(const std::string& folder, const std::map<std::string, std::string>& made_for) {
  const Result<json> record = read_record(folder);
  return record && record->at("made_for") == json(made_for);
}

Error cannot_keep(const std::string& folder, int code) {
  return {code == ENOSPC ? ErrorCode::kDevice : ErrorCode::kFileSystem,
          "cannot keep engines in " + folder + ": " + std::strerror(code)};
}

Status make_folders(const std::string& root, const std::string& folder) {
  std::error_code error;
  fs::create_directories(fs::path(root).parent_path(), error);
  for (const std::string& one : {root, folder}) {
    if (::mkdir(one.c_str(), 0700) != 0 && errno != EEXIST) return cannot_keep(one, errno);
  }
  return Done{};
}

Error refused(const std::string& folder, const std::string& reason) {
  return {ErrorCode::kFileSystem, "cannot keep engines in " + folder + ": " + reason +
                                      "; name another folder, or remove this one"};
}

/// Engines are removed and run: whoever could lead this folder elsewhere, or write into it, would
/// choose which.
Result<Descriptor> open_own(const std::string& folder) {
  Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!opened && (errno == ENOTDIR || errno == ELOOP)) return refused(folder, "it is no folder");
  struct stat facts{};
  if (!opened || ::fstat(opened.get(), &facts) != 0) return cannot_keep(folder, errno);
  if (facts.st_uid != ::geteuid()) return refused(folder, "it belongs to another user");
  if ((facts.st_mode & 022U) != 0) return refused(folder, "other users may write into it");
  if (::access(inside(opened).c_str(), W_OK | X_OK) != 0) return cannot_keep(folder, errno);
  return opened;
}

/// \param name Of the folder, for messages.
Result<Descriptor> locked(const Descriptor& folder, const std::string& name) {
  constexpr int kOpen = O_RDWR | O_CLOEXEC | O_NOFOLLOW;
  constexpr int kMake = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_CREAT;
  Descriptor lock(::openat(folder.get(), kLock, kOpen));
  if (!lock && errno == ENOENT && is_empty(inside(folder))) {
    lock = Descriptor(::openat(folder.get(), kLock, kMake, 0600));
  } else if (!lock && errno == ENOENT) {
    // Another process may have begun in between.
    lock = Descriptor(::openat(folder.get(), kLock, kOpen));
    if (!lock) return refused(name, "it holds what are no engines");
  }
  if (!lock) return cannot_keep(name, errno);
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return cannot_keep(name, errno);
  }
  return lock;
}

}  // namespace

Result<EngineCache> EngineCache::open(const std::string& root, const std::string& model,
                                      const std::string& provider,
                                      const std::map<std::string, std::string>& made_for) {
  const Result<std::string> sum = checksum_of_model(model);
  if (!sum) return Error{ErrorCode::kModelOrData, sum.error().message};
  EngineCache cache;
  cache.folder_ = root + "/" + fs::path(model).stem().string() + "-" + *sum + "-" + provider;
  cache.made_for_ = made_for;
  if (Status status = make_folders(root, cache.folder_); !status) return status.error();
  Result<Descriptor> opened = open_own(cache.folder_);
  if (!opened) return opened.error();
  cache.opened_ = std::move(*opened);
  Result<Descriptor> lock = locked(cache.opened_, cache.folder_);
  if (!lock) return lock.error();
  cache.lock_ = std::move(*lock);
  cache.use_ = {"made", cache.folder_, ""};
  const std::string there = inside(cache.opened_);
  if (is_empty(there)) return cache;
  const std::string reason = unusable(there, made_for);
  cache.use_ = {reason.empty() ? "used" : "made anew", cache.folder_, reason};
  if (!reason.empty()) clear(there);
  return cache;
}

Status EngineCache::seal() {
  if (!lock_) {
    Result<Descriptor> lock = locked(opened_, folder_);
    if (!lock) return lock.error();
    lock_ = std::move(*lock);
  }
  const std::string there = inside(opened_);
  // Another process may have made its own engines there since.
  const bool is_ours = !sealed_ || record_is_for(there, made_for_);
  if (!is_ours || unusable(there, made_for_).empty()) {
    sealed_ = true;
    lock_.reset();
    return Done{};
  }
  const json record = {{"schema", 1}, {"made_for", made_for_}, {"files", files_in(there)}};
  const std::string text = record.dump(1, ' ', true, json::error_handler_t::replace) + "\n";
  Status status = write_file_atomically(there + "/" + kRecord, {text});
  sealed_ = true;
  lock_.reset();
  return status;
}

}  // namespace edgesmith
