/// \file
/// parse_manifest(): what it accepts is safe to use without another check.
#include "edgesmith/manifest.hpp"
#include "fuzz_target.hpp"

namespace {

using namespace edgesmith;
using fuzz::require;

void use(const Manifest& manifest) {
  require(manifest.find_variant(manifest.default_variant) != nullptr, "the default is a variant");
  require(!manifest.model_name.empty() || manifest.sequence >= 0, "fields are in range");
  for (const Variant& variant : manifest.variants) {
    require(is_safe_relative_path(variant.path), "a variant's path is safe");
    require(variant.threads >= 0 && variant.threads <= 4096, "threads are in range");
    require(variant.self_test_min_sqnr_db >= 0, "the self-test asks for something");
    require(manifest.find_variant(variant.name) == &variant, "names of variants are unique");
  }
  for (const ManifestFile& file : manifest.files) {
    require(is_safe_relative_path(file.path), "a file's path is safe");
    require(is_sha256(file.sha256), "a file's digest is one");
    require((file.mode & ~0755U) == 0, "nothing is writable for others or set-user-id");
    require(manifest.find_file(file.path) == &file, "paths of files are unique");
    const std::size_t slash = file.path.rfind('/');
    const std::string above = slash == std::string::npos ? "" : file.path.substr(0, slash);
    require(manifest.find_file(above) == nullptr, "no file is also a folder");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  const Result<Manifest> manifest =
      parse_manifest(std::string(reinterpret_cast<const char*>(data), bytes));
  if (manifest) {
    use(*manifest);
  } else {
    fuzz::require_refusal(manifest.error(), ErrorCode::kIntegrity);
  }
  return 0;
}
