#include "bundle.hpp"

#include <unistd.h>

#include <filesystem>

#include "digest.hpp"
#include "file.hpp"

namespace edgesmith::harness {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kManifestLimitBytes = std::uint64_t{16} << 20;

bool is_file(const std::string& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

Status check_file(const Bundle& bundle, const std::string& relative, FileDigest& digest) {
  const std::string path = bundle.root + "/" + relative;
  const ManifestFile* listed = bundle.manifest.find_file(relative);
  if (listed == nullptr) {
    return Error{ErrorCode::kIntegrity, "the manifest does not list " + relative};
  }
  Result<FileDigest> found = digest_file(path);
  if (!found) return Error{ErrorCode::kIntegrity, found.error().message};
  if (found->bytes != listed->bytes || found->sha256 != listed->sha256) {
    return Error{ErrorCode::kIntegrity,
                 path + " is not the file that the manifest lists; install the bundle again"};
  }
  digest = *found;
  return Done{};
}

Result<Candidate> bundle_candidate(const Bundle& bundle, const Variant& variant) {
  FileDigest digest;
  if (Status status = check_file(bundle, variant.path, digest); !status) return status.error();
  Candidate candidate{variant, bundle.root + "/" + variant.path, digest.sha256, digest.bytes};
  for (const std::string& path : variant.data) {
    FileDigest data;
    if (Status status = check_file(bundle, path, data); !status) return status.error();
    candidate.bytes += data.bytes;
  }
  return candidate;
}

Result<Workload> loose_workload(const Bundle& bundle, const Options& options) {
  Result<FileDigest> digest = digest_file(options.model_path);
  if (!digest) return digest.error();
  Workload workload;
  workload.candidates.push_back(
      {bundle.manifest.variants.front(), options.model_path, digest->sha256, digest->bytes});
  workload.samples_path = options.samples_path;
  workload.metrics = bundle.manifest.metrics;
  return workload;
}

Error unknown_variant(const Manifest& manifest, const std::string& name) {
  std::string list;
  for (const Variant& variant : manifest.variants)
    list += (list.empty() ? "" : ", ") + variant.name;
  return {ErrorCode::kUsage, "the bundle has no variant '" + name + "'; it has " + list};
}

Result<std::vector<Candidate>> choose(const Bundle& bundle, const std::vector<std::string>& names) {
  std::vector<Candidate> chosen;
  for (const std::string& name : names) {
    const Variant* variant = bundle.manifest.find_variant(name);
    if (variant == nullptr) return unknown_variant(bundle.manifest, name);
    Result<Candidate> candidate = bundle_candidate(bundle, *variant);
    if (!candidate) return candidate.error();
    chosen.push_back(std::move(*candidate));
  }
  if (!names.empty()) return chosen;
  for (const Variant& variant : bundle.manifest.variants) {
    if (!is_file(bundle.root + "/" + variant.path)) continue;
    Result<Candidate> candidate = bundle_candidate(bundle, variant);
    if (!candidate) return candidate.error();
    chosen.push_back(std::move(*candidate));
  }
  if (chosen.empty()) {
    return Error{ErrorCode::kIntegrity, "no model of the bundle is there below " + bundle.root};
  }
  return chosen;
}

Result<std::string> find_samples(const Bundle& bundle, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (!is_file(bundle.root + "/" + name)) continue;
    FileDigest digest;
    if (Status status = check_file(bundle, name, digest); !status) return status.error();
    return bundle.root + "/" + name;
  }
  return Error{ErrorCode::kIntegrity, "the bundle below " + bundle.root + " holds no samples"};
}

/// The size of a variant's files by the manifest, null when it does not list them.
json listed_bytes(const Manifest& manifest, const Variant& variant) {
  const ManifestFile* model = manifest.find_file(variant.path);
  if (model == nullptr) return nullptr;
  std::uint64_t total = model->bytes;
  for (const std::string& path : variant.data) {
    const ManifestFile* data = manifest.find_file(path);
    if (data == nullptr) return nullptr;
    total += data->bytes;
  }
  return total;
}

/// The bundle that this program lies in.
Result<Bundle> bundle_beside() {
  Bundle bundle;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return Error{ErrorCode::kFileSystem, "cannot find this program: " + error.message()};
  bundle.root = program.parent_path().parent_path().string();
  const std::string path = bundle.root + "/manifest.json";
  const Result<OpenFile> file = open_file(path);
  const Result<std::string> text =
      file ? read_descriptor(file->descriptor.get(), path, kManifestLimitBytes) : file.error();
  if (!text) {
    return Error{ErrorCode::kIntegrity,
                 text.error().message + "; outside a bundle use --model and --samples"};
  }
  Result<Manifest> manifest = parse_manifest(*text);
  if (!manifest) {
    return Error{manifest.error().code, bundle.root + "/" + manifest.error().message +
                                            "; build or install the bundle again"};
  }
  bundle.manifest = std::move(*manifest);
  bundle.manifest.id = sha256_hex(*text);
  if (bundle.manifest.metrics.empty()) bundle.manifest.metrics = {"top1"};
  return bundle;
}

/// A bundle of the one model. If this program lies in another bundle, providers are set up as that
/// one sets them up; its plugins are its own.
Bundle loose_bundle(const std::string& model_path) {
  Bundle bundle;
  Variant variant;
  variant.name = fs::path(model_path).stem().string();
  bundle.manifest.model_name = variant.name;
  bundle.manifest.variants = {variant};
  bundle.manifest.metrics = {"top1"};
  // Loose models need no bundle, so that a damaged one is nothing to tell.
  const Result<Bundle> beside = bundle_beside();
  if (!beside) return bundle;
  for (const auto& [name, settings] : beside->manifest.providers) {
    if (settings.library.empty()) bundle.manifest.providers[name] = settings;
  }
  return bundle;
}

}  // namespace

Result<Bundle> open_bundle(const Options& options) {
  return options.model_path.empty() ? bundle_beside() : loose_bundle(options.model_path);
}

Result<Workload> open_workload(const Bundle& bundle, const Options& options,
                               const std::vector<std::string>& names,
                               const std::vector<std::string>& samples_names) {
  if (bundle.root.empty()) return loose_workload(bundle, options);
  Workload workload;
  workload.metrics = bundle.manifest.metrics;
  Result<std::vector<Candidate>> chosen = choose(bundle, names);
  if (!chosen) return chosen.error();
  workload.candidates = std::move(*chosen);
  workload.samples_path = options.samples_path;
  if (!workload.samples_path.empty()) return workload;
  Result<std::string> samples = find_samples(bundle, samples_names);
  if (!samples) return samples.error();
  workload.samples_path = std::move(*samples);
  return workload;
}

Status check_bundle_file(const Bundle& bundle, const std::string& relative) {
  FileDigest digest;
  return check_file(bundle, relative, digest);
}

json bundle_json(const Bundle& bundle, const std::vector<Candidate>& loose) {
  const Manifest& manifest = bundle.manifest;
  json result = {{"model", manifest.model_name}, {"variants", json::array()}};
  if (bundle.root.empty()) {
    for (const char* key : {"id", "version", "target"}) {
      result[key] = nullptr;
      result["reasons"][key] = "a loose model file, not a bundle";
    }
    for (const Candidate& candidate : loose) {
      result["variants"].push_back({{"name", candidate.variant.name},
                                    {"sha256", candidate.sha256},
                                    {"bytes", candidate.bytes}});
    }
    return result;
  }
  result["id"] = manifest.id;
  result["version"] = manifest.model_version;
  result["target"] = manifest.target;
  result["platform"] = manifest.platform;
  result["sequence"] = manifest.sequence;
  for (const Variant& variant : manifest.variants) {
    const ManifestFile* file = manifest.find_file(variant.path);
    result["variants"].push_back({{"name", variant.name},
                                  {"sha256", file == nullptr ? json(nullptr) : json(file->sha256)},
                                  {"bytes", listed_bytes(manifest, variant)},
                                  {"precision", variant.precision},
                                  {"encoding", variant.encoding}});
  }
  return result;
}

json unknown_bundle_json(const std::string& reason) {
  return {{"id", nullptr},
          {"model", ""},
          {"version", nullptr},
          {"target", nullptr},
          {"variants", json::array()},
          {"reasons", {{"id", reason}, {"version", reason}, {"target", reason}}}};
}

}  // namespace edgesmith::harness
