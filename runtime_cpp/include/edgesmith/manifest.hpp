/// \file
/// A bundle's manifest.json.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "edgesmith/providers.hpp"
#include "edgesmith/result.hpp"

namespace edgesmith {

/// One form of the model in a bundle.
struct Variant {
  std::string name;
  std::string path;               ///< Relative to the bundle, safe to open below it.
  std::vector<std::string> data;  ///< Files beside it with weights that one file can't hold.
  std::string precision;          ///< "fp32", "fp16" or "int8".
  std::string encoding;           ///< How integers are laid out, such as "u8s8"; for people.
  std::string provider = "cpu";   ///< As in SessionSettings.
  std::string optimization_level = "all";     ///< For optimization_level_from_name().
  std::map<std::string, std::string> config;  ///< Session configuration entries.
  int threads = 1;                            ///< Intra-op, 0 to 4096; 0: the runtime decides.
  double self_test_min_sqnr_db = 15.0;  ///< What each output must reach on the golden samples.
  /// At least so many; if counted.
  std::optional<std::uint64_t> multiply_adds_per_sample;
};

/// One file of a bundle.
struct ManifestFile {
  std::string path;  ///< Relative to the bundle, safe to open below it.
  std::uint64_t bytes = 0;
  std::string sha256;    ///< 64 lowercase hexadecimal digits.
  unsigned mode = 0644;  ///< Permissions; nothing set-user-id or writable for others.
  std::string role;      ///< app, runtime, model, golden, bench or licence.
};

/// What a bundle says of itself, after parse_manifest(): names of variants and paths of files are
/// unique, and the default variant is one of them.
struct Manifest {
  std::string id;  ///< sha256 of the manifest's bytes; set by whoever hashed them.
  std::string model_name;
  std::string model_version;
  std::string target;
  std::string platform;
  std::int64_t sequence = 0;  ///< Rises with every release; 0 or more.
  std::vector<Variant> variants;
  std::string default_variant;
  std::vector<ManifestFile> files;
  std::vector<std::string> metrics;  ///< The first decides.
  /// How providers are set up, by name; a plugin's library is a path relative to the bundle.
  std::map<std::string, ProviderSettings> providers;

  /// The variant of this name, or null.
  const Variant* find_variant(const std::string& name) const;
  /// The file at this path, or null.
  const ManifestFile* find_file(const std::string& path) const;
};

/// Reads a manifest of schema major 1; unknown fields are ignored.
/// \return kIntegrity naming the field that is missing, malformed, out of range, repeated or
/// unsafe,
///         or the schema version if its major is another.
Result<Manifest> parse_manifest(const std::string& text);

/// Whether a path may be opened below a folder: relative, with no empty, "." or ".." component, no
/// NUL and no control character.
bool is_safe_relative_path(const std::string& path);

/// Whether a text is a lowercase hexadecimal sha256.
bool is_sha256(const std::string& text);

}  // namespace edgesmith
