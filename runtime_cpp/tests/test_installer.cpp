#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "check.hpp"
#include "fake_bundle.hpp"
#include "fake_device.hpp"
#include "programs.hpp"

namespace {

using namespace edgesmith;
using test::bundle_of;
using test::Checks;
using test::Device;
using test::FakeBundle;
using test::kInstaller;
using test::run_program;
namespace fs = std::filesystem;

void install_upgrade_rollback(Checks& checks) {
  const Device device;
  const FakeBundle first = bundle_of(1, "one");
  const FakeBundle second = bundle_of(2, "two");
  const FakeBundle third = bundle_of(3, "three");
  CHECK_EQUAL(device.drop_and_install(first), 0);
  CHECK_EQUAL(device.link("current"), first.id);
  CHECK(fs::is_empty(device.root + "/incoming"));
  CHECK(!fs::exists(device.root + "/current/model/fp32.onnx"));
  CHECK((fs::status(device.root + "/current/bin/harness").permissions() & fs::perms::owner_exec) !=
        fs::perms::none);
  CHECK_EQUAL(device.run("rollback"), 7);
  CHECK_EQUAL(device.drop_and_install(second), 0);
  CHECK_EQUAL(device.link("previous"), first.id);
  CHECK_EQUAL(device.run("verify"), 0);
  CHECK_EQUAL(device.run("rollback"), 0);
  CHECK_EQUAL(device.link("current"), first.id);
  CHECK_EQUAL(device.link("previous"), second.id);
  CHECK_EQUAL(device.run("rollback"), 0);
  CHECK_EQUAL(device.drop_and_install(third), 0);
  CHECK(!fs::exists(device.root + "/releases/" + first.id));
  CHECK_EQUAL(device.drop_and_install(third), 0);
  CHECK_EQUAL(device.link("previous"), second.id);
  const auto listed = run_program({kInstaller, "list", device.root, "--json"});
  const auto document = nlohmann::json::parse(listed.output);
  CHECK_EQUAL(document["releases"].size(), 2U);
  CHECK_EQUAL(document["current"].get<std::string>(), third.id);
}

void weights_beside_the_model(Checks& checks) {
  const Device device;
  std::vector<test::BundleFile> files = bundle_of(1, "one").files;
  files.push_back({"model/int8.onnx.data", "weights", "model"});
  files.push_back({"model/fp32.onnx.data", "of another variant", "model"});
  const FakeBundle bundle = test::make_bundle(1, files);
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  CHECK_EQUAL(test::read_text(device.root + "/current/model/int8.onnx.data"), "weights");
  CHECK(!fs::exists(device.root + "/current/model/fp32.onnx.data"));
  CHECK_EQUAL(device.run("verify"), 0);
  fs::remove(device.root + "/current/model/int8.onnx.data");
  CHECK_EQUAL(device.run("verify"), 7);
}

void only_what_is_missing(Checks& checks) {
  const Device device;
  const FakeBundle first = bundle_of(1, "one");
  const FakeBundle second = bundle_of(2, "two");
  CHECK_EQUAL(device.drop_and_install(first), 0);
  test::write_text(device.root + "/incoming/" + second.id + ".manifest.json", second.manifest);
  const auto needed = run_program({kInstaller, "need", device.root, second.id});
  CHECK_EQUAL(needed.output, sha256_hex("two") + "\n");
  test::write_text(device.root + "/incoming/" + sha256_hex("two"), "twx");
  CHECK_EQUAL(run_program({kInstaller, "need", device.root, second.id}).output, needed.output);
  CHECK_EQUAL(device.run("install", {second.id}), 7);
  CHECK_EQUAL(device.link("current"), first.id);
  test::write_text(device.root + "/incoming/" + sha256_hex("two"), "two");
  CHECK_EQUAL(device.run("install", {second.id}), 0);
  CHECK_EQUAL(fs::hard_link_count(device.root + "/current/lib/libruntime.so.1"), 2U);
}

void refusals(Checks& checks) {
  const Device device;
  const FakeBundle good = bundle_of(2, "good");
  CHECK_EQUAL(device.drop_and_install(good), 0);
  const FakeBundle sick = bundle_of(3, "sick", 8);
  CHECK_EQUAL(device.drop_and_install(sick), 8);
  CHECK(!fs::exists(device.root + "/releases/" + sick.id));
  CHECK_EQUAL(device.run("install", {sick.id, "--no-self-test"}), 0);
  CHECK_EQUAL(device.run("rollback"), 0);
  const FakeBundle older = bundle_of(1, "older");
  CHECK_EQUAL(device.drop_and_install(older), 7);
  const FakeBundle future = test::make_bundle(9, good.files, "2.0");
  CHECK_EQUAL(device.drop_and_install(future), 7);
  CHECK_EQUAL(device.link("current"), good.id);
  CHECK_EQUAL(device.run("install", {std::string(64, '0')}), 7);
  CHECK_EQUAL(device.run("install", {"../x"}), 2);
  CHECK_EQUAL(device.run("instal", {good.id}), 2);
  CHECK_EQUAL(device.run("list", {"--no-self-test"}), 2);
  CHECK_EQUAL(device.run("install", {older.id, "--allow-downgrade"}), 0);
  FakeBundle forged = bundle_of(5, "forged");
  forged.manifest += ' ';
  CHECK_EQUAL(device.drop_and_install(forged), 7);
  const FakeBundle climbing =
      test::make_bundle(6, {{"model/int8.onnx", "m", "model"}, {"../../escape", "x", "app"}});
  CHECK_EQUAL(device.drop_and_install(climbing), 7);
  CHECK(!fs::exists(device.folder / "escape"));
}

void a_downgrade_names_the_versions(Checks& checks) {
  const Device device;
  const std::vector<test::BundleFile> files = bundle_of(1, "m").files;
  const FakeBundle newer = test::make_bundle(200, files, "1.0", "1.0.0");
  const FakeBundle older = test::make_bundle(100, files, "1.0", "0.9.0");
  CHECK_EQUAL(device.drop_and_install(newer), 0);
  device.drop(older);
  const auto refused = device.tell("install", {older.id});
  CHECK_EQUAL(refused.exit_code, 7);
  CHECK(refused.output.find("0.9.0 (sequence 100) is older than the current 1.0.0 (sequence 200); "
                            "--allow-downgrade") != std::string::npos);
}

void self_test_has_an_end(Checks& checks) {
  const Device device;
  const FakeBundle slow = test::make_bundle(
      1,
      {{"bin/harness", "#!/bin/sh\nsleep 30\n", "app", "0755"}, {"model/int8.onnx", "m", "model"}});
  device.drop(slow);
  CHECK_EQUAL(device.run("install", {slow.id, "--self-test-timeout", "1"}), 8);
  CHECK_EQUAL(device.link("current"), "");
}

void links_are_not_followed(Checks& checks) {
  const Device device;
  const FakeBundle bundle = bundle_of(1, "secret");
  device.drop(bundle);
  const std::string blob = device.root + "/incoming/" + sha256_hex("secret");
  fs::rename(blob, device.folder / "elsewhere");
  fs::create_symlink(device.folder / "elsewhere", blob);
  CHECK_EQUAL(device.run("install", {bundle.id}), 7);
}

void busy(Checks& checks) {
  const Device device;
  const FakeBundle bundle = bundle_of(1, "one");
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  const int lock = ::open((device.root + "/lock").c_str(), O_RDWR | O_CLOEXEC);
  CHECK_EQUAL(::flock(lock, LOCK_EX), 0);
  CHECK_EQUAL(device.drop_and_install(bundle_of(2, "two")), 6);
  ::close(lock);
  CHECK_EQUAL(device.run("install", {bundle_of(2, "two").id}), 0);
}

/// What interrupted installations leave behind does not keep the next one from succeeding.
void crash_states(Checks& checks) {
  const FakeBundle first = bundle_of(1, "one");
  const FakeBundle second = bundle_of(2, "two");
  const std::vector<std::function<void(const Device&)>> states{
      [&](const Device& device) {  // Stopped while assembling.
        test::write_text(device.root + "/releases/.tmp-" + second.id + "/bin/harness", "half");
      },
      [&](const Device& device) {  // Stopped between making the link and renaming it.
        fs::create_symlink("releases/" + second.id, device.root + "/.tmp-current");
        fs::create_symlink("releases/" + first.id, device.root + "/.tmp-previous");
      },
      [&](const Device& device) {  // Stopped between the two switches.
        fs::create_symlink("releases/" + first.id, device.root + "/previous");
      },
      [&](const Device& device) {  // A damaged release stands under the final name.
        test::write_text(device.root + "/releases/" + second.id + "/manifest.json", "half");
      },
      [&](const Device& device) {  // Stopped while replacing the installer.
        test::write_text(device.root + "/installer.tmp", "half");
      }};
  for (const auto& state : states) {
    const Device device;
    CHECK_EQUAL(device.drop_and_install(first), 0);
    state(device);
    CHECK_EQUAL(device.drop_and_install(second), 0);
    CHECK_EQUAL(device.link("current"), second.id);
    CHECK_EQUAL(device.link("previous"), first.id);
    CHECK_EQUAL(device.run("verify"), 0);
    CHECK_EQUAL(std::distance(fs::directory_iterator(device.root + "/releases"), {}), 2);
  }
}

/// A release that was damaged on the device is repaired by installing it again.
void repair(Checks& checks) {
  const Device device;
  const FakeBundle bundle = bundle_of(1, "one");
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  test::write_text(device.root + "/current/model/int8.onnx", "bad");
  CHECK_EQUAL(device.run("verify"), 7);
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  CHECK_EQUAL(device.run("verify"), 0);
}

void installer_replaces_itself(Checks& checks) {
  const Device device;
  auto files = bundle_of(1, "one").files;
  files.push_back({"bin/installer", "next installer", "app", "0755"});
  CHECK_EQUAL(device.drop_and_install(test::make_bundle(1, files)), 0);
  CHECK_EQUAL(test::read_text(device.root + "/installer"), "next installer");
}

}  // namespace

int main() {
  return test::run_all({{"install_upgrade_rollback", install_upgrade_rollback},
                        {"weights_beside_the_model", weights_beside_the_model},
                        {"only_what_is_missing", only_what_is_missing},
                        {"refusals", refusals},
                        {"a_downgrade_names_the_versions", a_downgrade_names_the_versions},
                        {"self_test_has_an_end", self_test_has_an_end},
                        {"links_are_not_followed", links_are_not_followed},
                        {"busy", busy},
                        {"crash_states", crash_states},
                        {"repair", repair},
                        {"installer_replaces_itself", installer_replaces_itself}});
}
