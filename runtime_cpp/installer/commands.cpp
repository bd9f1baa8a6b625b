#include "commands.hpp"

#include <iostream>
#include <nlohmann/json.hpp>

#include "assemble.hpp"
#include "leftovers.hpp"
#include "shown.hpp"

namespace edgesmith::installer {
namespace {

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
  return shown(manifest.model_version) + " (sequence " + std::to_string(manifest.sequence) + ")";
}

Status check_sequence(const Store& store, const Manifest& manifest, bool allow_downgrade) {
  const std::optional<std::string> current = store.linked("current");
  if (!current || *current == manifest.id || allow_downgrade) return Done{};
  const Result<Manifest> installed = store.manifest(*current);
  // A damaged current release must not keep its repair out.
  if (!installed) {
    std::cerr << "installer: " << shown(installed.error().message) << "\n";
    return Done{};
  }
  if (manifest.sequence >= installed->sequence) return Done{};
  return integrity(version_text(manifest) + " is older than the current " +
                   version_text(*installed) + "; --allow-downgrade installs it anyway");
}

/// A release that is not to be used takes no room, unless a link names it.
void discard(const Store& store, const std::string& id) {
  if (store.linked("current") == id || store.linked("previous") == id) return;
  // Whatever is left is removed by the next installation; the failure that led here is what counts.
  static_cast<void>(remove_tree(store.release(id)));
}

Status activate(const Store& store, const std::string& id) {
  const std::optional<std::string> current = store.linked("current");
  // An earlier installation may have ended before it could sync what it had switched.
  if (current == id) return sync_path(store.root());
  if (!current) {
    if (Status status = sync_upwards(store.root()); !status) return status;
  }
  const bool keep = current && store.verify(*current);
  // Both links are made before one is put in place: a full disk then changes neither.
  if (keep) {
    if (Status status = store.make_link("previous", *current); !status) return status;
  }
  if (Status status = store.make_link("current", id); !status) return status;
  // First `previous`: whenever this stops, both links name complete releases.
  if (keep) {
    if (Status status = store.place_link("previous"); !status) return status;
  }
  return store.place_link("current");
}

Status update_installer(const Store& store, const Manifest& manifest) {
  for (const ManifestFile& file : release_files(manifest)) {
    if (file.path != "bin/installer") continue;
    ManifestFile installed = file;
    installed.path = "installer";
    if (!is_installed(store.root(), installed)) return replace_installer(store, manifest.id, file);
    // A transport put it there, and may not have synced it.
    if (Status status = sync_path(store.installer()); !status) return status;
    return sync_path(store.root());
  }
  return Done{};
}

/// What is done under the lock starts from a state that no crash left.
Result<Descriptor> begin(const Store& store) {
  Result<Descriptor> lock = store.lock();
  if (!lock) return lock;
  if (Status status = recover(store); !status) return status.error();
  return lock;
}

Status tested(const Store& store, const std::string& id, const InstallOptions& options) {
  if (!options.self_test) return Done{};
  Status status = self_test(store.release(id), options.self_test_timeout_seconds, options.emulator);
  if (status) return status;
  discard(store, id);
  const std::optional<std::string> current = store.linked("current");
  std::string stays = "no release is current";
  if (current) stays = "release " + *current + " stays current";
  return Error{status.error().code, status.error().message + "; " + stays};
}

/// After the switch: the release is there, whatever fails now.
Status finish(const Store& store, const Manifest& manifest) {
  Status status = update_installer(store, manifest);
  if (status) status = clean(store);
  if (status) return status;
  return Error{status.error().code,
               "release " + manifest.id + " is current, but: " + status.error().message};
}

std::string role_of(const Store& store, const std::string& id) {
  if (store.linked("current") == id) return "current";
  return store.linked("previous") == id ? "previous" : "";
}

}  // namespace

Status need(const Store& store, const std::string& id) {
  if (Status status = store.prepare(); !status) return status;
  const Result<Descriptor> lock = begin(store);
  if (!lock) return lock.error();
  const Result<IncomingManifest> incoming = incoming_manifest(store, id);
  if (!incoming) return incoming.error();
  if (!store.linked("current")) {
    // Whether there can be links is found out before anything large is sent.
    Status status = store.make_link("current", id);
    if (status) status = remove_tree(store.next_link("current"));
    if (!status) return status;
  }
  if (Status status = make_room(store, incoming->manifest); !status) return status;
  for (const std::string& hash : missing_blobs(store, incoming->manifest))
    std::cout << hash << "\n";
  return Done{};
}

Status install(const Store& store, const std::string& id, const InstallOptions& options) {
  if (Status status = store.prepare(); !status) return status;
  const Result<Descriptor> lock = begin(store);
  if (!lock) return lock.error();
  const Result<IncomingManifest> incoming = incoming_manifest(store, id);
  if (!incoming) return incoming.error();
  const Manifest& manifest = incoming->manifest;
  Status status = check_sequence(store, manifest, options.allow_downgrade);
  if (status) status = assemble(store, manifest, incoming->bytes);
  if (status) status = tested(store, id, options);
  if (!status) return status;
  if (status = activate(store, id); !status) {
    discard(store, id);
    return status;
  }
  if (status = finish(store, manifest); !status) return status;
  std::cout << id << "\n";
  return Done{};
}

Status rollback(const Store& store) {
  if (Status status = store.check(); !status) return status;
  if (!store.exists()) return integrity("nothing is installed in " + store.root());
  const Result<Descriptor> lock = begin(store);
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
  if (Status status = store.check(); !status) return status;
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
                << (manifest ? shown(manifest->model_name) + " " + version_text(*manifest)
                             : shown(manifest.error().message))
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
  if (Status status = store.check(); !status) return status;
  const std::optional<std::string> wanted =
      id.empty() ? store.linked("current") : std::optional<std::string>(id);
  if (!wanted) return integrity("no release is current in " + store.root());
  if (Status status = store.verify(*wanted); !status) return status;
  std::cout << *wanted << "\n";
  return Done{};
}

}  // namespace edgesmith::installer
