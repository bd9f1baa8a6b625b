#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "check.hpp"
#include "fake_bundle.hpp"
#include "fake_device.hpp"
#include "programs.hpp"

namespace {

using namespace edgesmith;
using nlohmann::json;
using test::bundle_of;
using test::bundle_with;
using test::Checks;
using test::Device;
using test::FakeBundle;
namespace fs = std::filesystem;

bool says(const test::ProgramResult& result, const std::string& words) {
  return result.output.find(words) != std::string::npos;
}

/// What came in under the name of something else is dropped, so that it is sent from its start.
void need_drops_what_is_wrong(Checks& checks) {
  const Device device;
  const FakeBundle bundle = bundle_of(1, "one");
  device.drop(bundle);
  const std::string blob = sha256_hex("one");
  test::write_text(device.root + "/incoming/" + blob, "onx");
  test::write_text(device.root + "/incoming/" + blob + ".part", "on");
  test::write_text(device.root + "/incoming/" + sha256_hex("other"), "other");
  fs::remove(device.root + "/incoming/" + sha256_hex("golden"));
  fs::create_directory(device.root + "/incoming/" + sha256_hex("golden"));
  const auto needed = device.tell("need", {bundle.id});
  CHECK_EQUAL(needed.exit_code, 0);
  CHECK(says(needed, blob + "\n") && says(needed, sha256_hex("golden") + "\n"));
  CHECK_EQUAL(needed.output.size(), std::size_t{130});
  CHECK(!device.has("incoming/" + blob) && !device.has("incoming/" + sha256_hex("golden")));
  CHECK(!device.has("incoming/" + sha256_hex("other")));
  CHECK(device.has("incoming/" + blob + ".part"));
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  CHECK(fs::is_empty(device.root + "/incoming"));
}

void manifests(Checks& checks) {
  const Device device;
  for (const std::string& text :
       {std::string(), std::string("{"), std::string(100000, '['), std::string(2U << 20U, ' ')}) {
    FakeBundle bundle = bundle_of(1, "one");
    bundle.manifest = text;
    bundle.id = sha256_hex(text);
    device.drop(bundle);
    CHECK_EQUAL(device.run("need", {bundle.id}), 7);
    CHECK_EQUAL(device.run("install", {bundle.id}), 7);
  }
  for (const char* path : {"manifest.json", "model", "model/int8.onnx/x", "../x", "a/../../x", "/x",
                           "a//b", "a\nb", "."}) {
    auto files = bundle_of(1, "one").files;
    files.push_back({path, "x", "app"});
    const FakeBundle bundle = test::make_bundle(1, files);
    device.drop(bundle);
    const auto refused = device.tell("install", {bundle.id});
    CHECK_EQUAL(refused.exit_code, 7);
    CHECK(says(refused, "manifest.json: "));
  }
  CHECK(fs::is_empty(device.root + "/releases"));
  CHECK_EQUAL(device.link("current"), "");
}

/// A version that would clear the screen is shown, not obeyed.
void words_of_manifests(Checks& checks) {
  const Device device;
  const auto files = bundle_of(1, "m").files;
  CHECK_EQUAL(device.drop_and_install(test::make_bundle(2, files, "1.0", "\x1b[2J")), 0);
  CHECK(says(device.tell("list"), "\\u001b[2J"));
  const auto refused = [&] {
    const FakeBundle older = test::make_bundle(1, files, "1.0", "\x1b[3J");
    device.drop(older);
    return device.tell("install", {older.id});
  }();
  CHECK_EQUAL(refused.exit_code, 7);
  CHECK(refused.output.find('\x1b') == std::string::npos);
}

/// Links in place of folders and releases lead nowhere.
void planted_links(Checks& checks) {
  const FakeBundle bundle = bundle_of(1, "one");
  for (const char* name : {"incoming", "releases", ""}) {
    const Device device;
    CHECK_EQUAL(device.drop_and_install(bundle), 0);
    const std::string elsewhere = device.folder / "elsewhere";
    const std::string planted = *name == '\0' ? device.root : device.root + "/" + std::string(name);
    fs::rename(planted, elsewhere);
    fs::create_directory_symlink(elsewhere, planted);
    for (const char* command : {"need", "install", "verify"}) {
      CHECK_EQUAL(device.run(command, {bundle.id}), 7);
    }
    CHECK_EQUAL(device.run("rollback"), 7);
    CHECK_EQUAL(device.run("list"), 7);
  }
  const Device device;
  const FakeBundle second = bundle_of(2, "two");
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  const std::string kept = device.folder / "kept";
  test::write_text(kept + "/precious", "precious");
  for (const std::string& name :
       {second.id, ".tmp-" + second.id, ".old-" + second.id, std::string(64, 'a')}) {
    fs::create_directory_symlink(kept, device.root + "/releases/" + name);
  }
  fs::create_directory_symlink(kept, device.root + "/incoming/" + std::string(64, 'b'));
  fs::create_symlink(kept + "/precious", device.root + "/installer.tmp");
  CHECK_EQUAL(device.run("verify", {second.id}), 7);
  CHECK_EQUAL(device.drop_and_install(second), 0);
  CHECK_EQUAL(device.link("current"), second.id);
  CHECK_EQUAL(device.run("verify"), 0);
  CHECK_EQUAL(test::read_text(kept + "/precious"), "precious");
  CHECK_EQUAL(std::distance(fs::directory_iterator(kept), {}), 1);
}

void files_where_folders_should_be(Checks& checks) {
  const FakeBundle bundle = bundle_of(1, "one");
  for (const std::string name : {"incoming", "releases"}) {
    const Device device;
    test::write_text(device.root + "/" + name, "a file");
    const auto refused = device.tell("install", {bundle.id});
    CHECK_EQUAL(refused.exit_code, 7);
    CHECK(says(refused, name + " is not a folder"));
  }
  const Device device;
  fs::create_directories(device.root + "/lock");
  CHECK_EQUAL(device.drop_and_install(bundle), 10);
  fs::remove(device.root + "/lock");
  fs::create_directories(device.root + "/current/folder");
  CHECK_EQUAL(device.run("install", {bundle.id}), 10);
  CHECK(!device.has("releases/" + bundle.id));
  fs::remove_all(device.root + "/current");
  CHECK_EQUAL(device.run("install", {bundle.id}), 0);
  const Device nothing;
  CHECK_EQUAL(nothing.run("rollback"), 7);
  CHECK_EQUAL(nothing.run("verify"), 7);
  CHECK(!fs::exists(nothing.root));
}

/// A release is not sound if its programs cannot be started.
void permissions_count(Checks& checks) {
  const Device device;
  const FakeBundle bundle = bundle_of(1, "one");
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  ::chmod((device.root + "/current/bin/harness").c_str(), 0644);
  CHECK_EQUAL(device.run("verify"), 7);
  CHECK(says(device.tell("need", {bundle.id}), sha256_hex(bundle.files[0].content)));
  CHECK_EQUAL(device.drop_and_install(bundle), 0);
  CHECK_EQUAL(device.run("verify"), 0);
}

void emulator(Checks& checks) {
  const Device device;
  const FakeBundle bundle = bundle_with("exit 3\n", 1, "one");
  device.drop(bundle);
  const auto without = device.tell("install", {bundle.id});
  CHECK_EQUAL(without.exit_code, 8);
  CHECK(says(without, "could not be started") && says(without, "cannot run "));
  CHECK(says(without, "no release is current"));
  const auto failed = device.tell("install", {bundle.id, "--emulator", "/bin/sh"});
  CHECK(says(failed, "the self-test failed with exit code 3"));
  const FakeBundle good = bundle_with("test $A = b && test $1 = verify\n", 2, "two");
  device.drop(good);
  const std::vector<std::string> words{good.id, "--emulator", "/usr/bin/env", "--emulator",
                                       "A=b",   "--emulator", "/bin/sh"};
  CHECK_EQUAL(device.run("install", words), 0);
  CHECK_EQUAL(device.run("install", {good.id, "--emulator"}), 2);
  CHECK_EQUAL(device.run("install", {good.id, "--emulator", "/no/such/program"}), 8);
}

/// Whether the process whose number is in a file has ended, or does so soon.
bool is_gone(const std::string& pid_file) {
  for (int i = 0; i < 500; ++i) {
    std::string pid = test::read_text(pid_file);
    pid.erase(pid.find_last_not_of('\n') + 1);
    const std::string state = test::read_text("/proc/" + pid + "/stat");
    // Who is to notice its end may not have done so.
    const bool ended = state.empty() || state.find(") Z ") != std::string::npos;
    if (!pid.empty() && ended) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

/// Neither a crash of the installer nor the harness's own end leaves processes behind.
void self_test_leaves_nothing_running(Checks& checks) {
  const Device device;
  const std::string pid = device.folder / "pid";
  const std::string left = "#!/bin/sh\nsleep 600 &\necho $! > '" + pid + "'\nexit 1\n";
  const auto failed = [&] {
    const FakeBundle bundle = bundle_with(left, 1, "one");
    device.drop(bundle);
    return device.tell("install", {bundle.id});
  }();
  CHECK_EQUAL(failed.exit_code, 8);
  CHECK(is_gone(pid));
  fs::remove(pid);
  const std::string hangs = "#!/bin/sh\necho $$ > '" + pid + "'\nkill -9 $PPID\nexec sleep 600\n";
  CHECK_EQUAL(device.drop_and_install(bundle_with(hangs, 2, "two")), 128 + SIGKILL);
  CHECK(is_gone(pid));
  CHECK_EQUAL(device.drop_and_install(bundle_of(3, "three")), 0);
}

}  // namespace

int main() {
  return test::run_all({{"need_drops_what_is_wrong", need_drops_what_is_wrong},
                        {"manifests", manifests},
                        {"words_of_manifests", words_of_manifests},
                        {"planted_links", planted_links},
                        {"files_where_folders_should_be", files_where_folders_should_be},
                        {"permissions_count", permissions_count},
                        {"emulator", emulator},
                        {"self_test_leaves_nothing_running", self_test_leaves_nothing_running}});
}
