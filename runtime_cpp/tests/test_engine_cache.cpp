#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "check.hpp"
#include "engine_cache.hpp"
#include "programs.hpp"

using edgesmith::EngineCache;
using edgesmith::ErrorCode;
using edgesmith::Result;
using edgesmith::test::Checks;
namespace fs = std::filesystem;

namespace {

using Facts = std::map<std::string, std::string>;

/// A temporary folder, and a model in it.
class Place {
 public:
  Place() { write("model.onnx", "a model"); }

  std::string at(const std::string& name) const { return folder_ / name; }
  void write(const std::string& name, const std::string& text) const {
    edgesmith::test::write_text(at(name), text);
  }
  Result<EngineCache> open(const Facts& facts = {{"driver", "1"}}) const {
    return EngineCache::open(at("engines"), at("model.onnx"), "tensorrt", facts);
  }

 private:
  edgesmith::test::TemporaryFolder folder_;
};

/// Makes an engine as a provider would.
std::string make(const Place& place) {
  Result<EngineCache> cache = place.open();
  if (!cache) return {};
  std::ofstream(cache->folder() + "/one.engine") << "an engine";
  return cache->seal() ? cache->folder() : "";
}

void engines_are_used_again(Checks& checks) {
  const Place place;
  const std::string folder = make(place);
  CHECK(!folder.empty());
  struct stat facts{};
  CHECK_EQUAL(::stat(place.at("engines").c_str(), &facts), 0);
  CHECK_EQUAL(facts.st_mode & 0777U, 0700U);
  Result<EngineCache> again = place.open();
  CHECK(again && again->use().state == "used" && again->folder() == folder);
  CHECK(again && fs::exists(folder + "/one.engine"));
}

/// What is wrong with what is there, and that it is gone.
std::string reason_after(const Place& place, const Facts& facts = {{"driver", "1"}}) {
  Result<EngineCache> cache = place.open(facts);
  if (!cache || cache->use().state != "made anew") return "used";
  return fs::exists(cache->folder() + "/one.engine") ? "still there" : cache->use().reason;
}

void what_cannot_be_trusted_is_made_anew(Checks& checks) {
  const Place place;
  CHECK(!make(place).empty());
  CHECK_EQUAL(reason_after(place, {{"driver", "2"}}), "it was made with another driver");
  CHECK(!make(place).empty());
  CHECK_EQUAL(reason_after(place, {}), "it was made with another driver");
  std::ofstream(make(place) + "/one.engine") << "an angine";
  CHECK_EQUAL(reason_after(place), "one.engine was changed");
  std::ofstream(make(place) + "/one.engine") << "an en";
  CHECK_EQUAL(reason_after(place), "one.engine was changed");
  fs::remove(make(place) + "/one.engine");
  CHECK_EQUAL(reason_after(place), "one.engine is missing");
  std::ofstream(make(place) + "/two.engine") << "x";
  CHECK_EQUAL(reason_after(place), "files were added to it");
  std::ofstream(make(place) + "/edgesmith-engines.json") << "{";
  CHECK_EQUAL(reason_after(place), "edgesmith-engines.json is damaged");
  fs::remove(make(place) + "/edgesmith-engines.json");
  CHECK_EQUAL(reason_after(place), "the last one was not finished");
}

void a_late_seal_leaves_anothers_engines(Checks& checks) {
  const Place place;
  Result<EngineCache> first = place.open({{"threads", "1"}});
  CHECK(first && first->seal());
  Result<EngineCache> second = place.open({{"threads", "4"}});
  CHECK(second && second->seal());
  CHECK(first && first->seal());
  const Result<EngineCache> third = place.open({{"threads", "4"}});
  CHECK(third && third->use().state == "used");
}

void another_model_has_a_folder_of_its_own(Checks& checks) {
  const Place place;
  const std::string folder = make(place);
  place.write("model.onnx", "another model");
  Result<EngineCache> other = place.open();
  CHECK(other && other->use().state == "made" && other->folder() != folder);
}

void other_weights_are_another_model(Checks& checks) {
  const Place place;
  place.write("model.onnx", std::string("before\x0a\x08location\x12\x0bweights.binafter"));
  const std::string without = make(place);
  place.write("weights.bin", "some weights");
  const std::string some = make(place);
  place.write("weights.bin", "more weights");
  const std::string more = make(place);
  CHECK(!without.empty() && without != some && some != more && without != more);
  place.write("weights.bin", "some weights");
  CHECK_EQUAL(make(place), some);
}

void signs_do_not_cancel_each_other(Checks& checks) {
  const Place place;
  std::string bytes(64, '\0');
  place.write("model.onnx", bytes);
  const std::string plain = make(place);
  for (const std::size_t last : {15U, 23U}) bytes[last] = '\x80';
  place.write("model.onnx", bytes);
  CHECK(make(place) != plain);
}

/// Why a cache is refused; empty if it is not.
std::string refusal(const Place& place) {
  const Result<EngineCache> cache = place.open();
  if (cache || cache.error().code != ErrorCode::kFileSystem) return "";
  return cache.error().message;
}

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void what_is_not_the_caches_is_left_alone(Checks& checks) {
  const Place place;
  const std::string folder = make(place);
  place.write("precious/file", "precious");
  fs::remove_all(folder);
  fs::create_directory_symlink(place.at("precious"), folder);
  CHECK(says(refusal(place), "it is no folder"));
  CHECK(fs::exists(place.at("precious/file")) && !fs::exists(place.at("precious/.lock")));
  fs::remove(folder);
  fs::rename(place.at("precious"), folder);
  CHECK(says(refusal(place), "it holds what are no engines"));
  CHECK(fs::exists(folder + "/file"));
  CHECK_EQUAL(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
  fs::remove(folder + "/file");
  ::chmod(folder.c_str(), 0770);
  CHECK(says(refusal(place), "other users may write into it"));
  ::chmod(folder.c_str(), 0700);
  CHECK_EQUAL(refusal(place), "");
  if (::geteuid() != 0) return;
  CHECK_EQUAL(::chown(folder.c_str(), 12345, 12345), 0);
  CHECK(says(refusal(place), "it belongs to another user"));
}

void links_among_the_engines_lead_nowhere(Checks& checks) {
  const Place place;
  place.write("precious/file", "precious");
  const std::string folder = make(place);
  fs::create_directory_symlink(place.at("precious"), folder + "/link");
  fs::remove(folder + "/edgesmith-engines.json");
  CHECK_EQUAL(reason_after(place), "the last one was not finished");
  CHECK(fs::exists(place.at("precious/file")) && !fs::exists(fs::symlink_status(folder + "/link")));
}

void folders_that_cannot_be_written(Checks& checks) {
  const Place place;
  place.write("engines", "a file");
  const Result<EngineCache> over_file = place.open();
  CHECK(!over_file && over_file.error().code == ErrorCode::kFileSystem);
  const Result<EngineCache> nowhere =
      EngineCache::open("/proc/engines", place.at("model.onnx"), "tensorrt", {});
  CHECK(!nowhere && nowhere.error().code == ErrorCode::kFileSystem);
  const Result<EngineCache> no_model =
      EngineCache::open(place.at("e"), place.at("no.onnx"), "tensorrt", {});
  CHECK(!no_model && no_model.error().code == ErrorCode::kModelOrData);
}

void where_engines_lie(Checks& checks) {
  CHECK_EQUAL(edgesmith::engine_cache_root("off", "tensorrt"), "");
  CHECK_EQUAL(edgesmith::engine_cache_root("/x", "openvino"), "/x");
  CHECK_EQUAL(edgesmith::engine_cache_root("", "openvino"), "");
  ::setenv("XDG_CACHE_HOME", "/c", 1);
  CHECK_EQUAL(edgesmith::engine_cache_root("", "tensorrt"), "/c/edgesmith/engines");
  ::setenv("XDG_CACHE_HOME", "relative", 1);
  ::setenv("HOME", "/h", 1);
  CHECK_EQUAL(edgesmith::engine_cache_root("", "tensorrt"), "/h/.cache/edgesmith/engines");
  CHECK(edgesmith::engine_cache_options("cuda", "/x").empty());
  CHECK_EQUAL(edgesmith::engine_cache_options("openvino", "/x").at("cache_dir"), "/x");
}

}  // namespace

int main() {
  return edgesmith::test::run_all(
      {{"engines_are_used_again", engines_are_used_again},
       {"what_cannot_be_trusted_is_made_anew", what_cannot_be_trusted_is_made_anew},
       {"a_late_seal_leaves_anothers_engines", a_late_seal_leaves_anothers_engines},
       {"another_model_has_a_folder_of_its_own", another_model_has_a_folder_of_its_own},
       {"other_weights_are_another_model", other_weights_are_another_model},
       {"signs_do_not_cancel_each_other", signs_do_not_cancel_each_other},
       {"what_is_not_the_caches_is_left_alone", what_is_not_the_caches_is_left_alone},
       {"links_among_the_engines_lead_nowhere", links_among_the_engines_lead_nowhere},
       {"folders_that_cannot_be_written", folders_that_cannot_be_written},
       {"where_engines_lie", where_engines_lie}});
}
