#include "commands.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "assemble.hpp"

namespace edgesmith::installer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Error integrity(const std::string& message) { return {ErrorCode::kIntegrity, message}; }

struct IncomingManifest {
  Manifest manifest;
  std::string bytes;
};

Result<IncomingManifest> incoming_manifest(const Store& store, const std::string& id) {
  Result<std::string> bytes = store.manifest_bytes(id);
  if (!bytes) return bytes.error();
  Result<Manifest> manifest = parse_manifest(*bytes);
  if (!manifest) return manifest.error();
  manifest->id = id;
  return IncomingManifest{std::move(*manifest), std::move(*bytes)};
}

std::string version_text(const Manifest& manifest) {
  return manifest.model_version + " (sequence " + std::to_string(manifest.sequence) + ")";
}

Status check_sequence(const Store& store, const Manifest& manifest, bool allow_downgrade) {
  const std::optional<std::string> current = store.linked("current");
  if (!current || *current == manifest.id || allow_downgrade) return Done{};
  const Result<Manifest> installed = store.manifest(*current);
  // A damaged current release must not keep its repair out.
  if (!installed) {
    std::cerr << "installer: " << installed.error().message << "\n";
    return Done{};
  }
  if (manifest.sequence >= installed->sequence) return Done{};
  return integrity(version_text(manifest) + " is older than the current " +
                   version_text(*installed) + "; --allow-downgrade installs it anyway");
}

/// Removes a release that failed its self-test, unless a link still names it.
void discard(const Store& store, const std::string& id) {
  if (store.linked("current") == id || store.linked("previous") == id) return;
  std::error_code error;
  fs::remove_all(store.release(id), error);
}

Status activate(const Store& store, const std::string& id) {
  const std::optional<std::string> current = store.linked("current");
  if (current == id) return Done{};
  // First `previous`: whenever this stops, both links name complete releases.
  if (current && store.verify(*current)) {
    if (Status status = store.point("previous", *current); !status) return status;
  }
  return store.point("current", id);
}

Status update_installer(const Store& store, const Manifest& manifest) {
  for (const ManifestFile& file : release_files(manifest)) {
    if (file.path != "bin/installer") continue;
    return replace_file(store, manifest.id, file, store.root() + "/installer");
  }
  return Done{};
}

Status remove_entries(const std::string& folder, const std::vector<std::string>& kept) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    entries.push_back(entry->path());
  }
  for (const fs::path& path : entries) {
    if (std::find(kept.begin(), kept.end(), path.filename().string()) != kept.end()) continue;
    fs::remove_all(path, error);
    if (error) {
      return Error{ErrorCode::kFileSystem,
                   "cannot remove " + path.string() + ": " + error.message()};
    }
  }
  return Done{};
}

Status clean(const Store& store) {
  std::vector<std::string> kept;
  for (const char* link : {"current", "previous"}) {
    if (const auto id = store.linked(link)) kept.push_back(*id);
  }
  if (Status status = remove_entries(store.releases(), kept); !status) return status;
  return remove_entries(store.incoming(), {});
}

std::string role_of(const Store& store, const std::string& id) {
  if (store.linked("current") == id) return "current";
  return store.linked("previous") == id ? "previous" : "";
}

}  // namespace

Status need(const Store& store, const std::string& id) {
  if (Status status = store.prepare(); !status) return status;
  const Result<IncomingManifest> incoming = incoming_manifest(store, id);
  if (!incoming) return incoming.error();
  for (const std::string& hash : missing_blobs(store, incoming->manifest))
    std::cout << hash << "\n";
  return Done{};
}

Status install(const Store& store, const std::string& id, const InstallOptions& options) {
  if (Status status = store.prepare(); !status) return status;
  const Result<Descriptor> lock = store.lock();
  if (!lock) return lock.error();
  const Result<IncomingManifest> incoming = incoming_manifest(store, id);
  if (!incoming) return incoming.error();
  const Manifest& manifest = incoming->manifest;
  Status status = check_sequence(store, manifest, options.allow_downgrade);
  if (status) status = assemble(store, manifest, incoming->bytes);
  if (!status) return status;
  if (options.self_test) {
    status = self_test(store.release(id), options.self_test_timeout_seconds, options.emulator);
    if (!status) {
      discard(store, id);
      return status;
    }
  }
  if (status = activate(store, id); !status) return status;
  if (status = update_installer(store, manifest); !status) return status;
  if (status = clean(store); !status) return status;
  std::cout << id << "\n";
  return Done{};
}

Status rollback(const Store& store) {
  const Result<Descriptor> lock = store.lock();
  if (!lock) return lock.error();
  const std::optional<std::string> current = store.linked("current");
  const std::optional<std::string> previous = store.linked("previous");
  if (!previous || !current || previous == current) {
    return integrity("there is no previous release to go back to");
  }
  if (Status status = store.verify(*previous); !status) return status;
  if (Status status = store.swap_links(); !status) return status;
  std::cout << *previous << "\n";
  return Done{};
}

Status list(const Store& store, bool as_json) {
  json releases = json::array();
  for (const std::string& id : store.release_ids()) {
    json entry = {{"id", id}, {"state", role_of(store, id)}, {"error", nullptr}};
    const Result<Manifest> manifest = store.manifest(id);
    if (manifest) {
      entry["model"] = manifest->model_name;
      entry["version"] = manifest->model_version;
      entry["sequence"] = manifest->sequence;
    } else {
      entry["error"] = manifest.error().message;
    }
    if (!as_json) {
      std::cout << id << " "
                << (manifest ? manifest->model_name + " " + manifest->model_version + " sequence " +
                                   std::to_string(manifest->sequence)
                             : manifest.error().message)
                << (role_of(store, id).empty() ? "" : " (" + role_of(store, id) + ")") << "\n";
    }
    releases.push_back(std::move(entry));
  }
  if (!as_json) return Done{};
  const auto link = [&](const char* name) {
    const auto id = store.linked(name);
    return id ? json(*id) : json(nullptr);
  };
  const json document = {{"schema_version", "1.0"},
                         {"current", link("current")},
                         {"previous", link("previous")},
                         {"releases", std::move(releases)}};
  std::cout << document.dump(1, ' ', false, json::error_handler_t::replace) << "\n";
  return Done{};
}

Status verify(const Store& store, const std::string& id) {
  const std::optional<std::string> wanted =
      id.empty() ? store.linked("current") : std::optional<std::string>(id);
  if (!wanted) return integrity("no release is current in " + store.root());
  if (Status status = store.verify(*wanted); !status) return status;
  std::cout << *wanted << "\n";
  return Done{};
}

}  // namespace edgesmith::installer
