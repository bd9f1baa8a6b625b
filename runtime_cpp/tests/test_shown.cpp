#include "check.hpp"
#include "shown.hpp"

namespace {

using namespace edgesmith;
using test::Checks;

void near_words_are_suggested(Checks& checks) {
  CHECK_EQUAL(suggestion("--jsn", {"--json", "--help"}), "did you mean --json?");
  CHECK_EQUAL(suggestion("benhc", {"bench", "verify"}), "did you mean bench?");
  CHECK_EQUAL(suggestion("imgae_1", {"image_1"}, "'"), "did you mean 'image_1'?");
  CHECK_EQUAL(suggestion("evrify", {"verify", "info"}), "did you mean verify?");
  CHECK_EQUAL(suggestion("--sampels", {"--shape", "--samples"}), "did you mean --samples?");
  CHECK_EQUAL(suggestion("y", {"x"}, "'"), "did you mean 'x'?");
}

void far_words_are_listed(Checks& checks) {
  CHECK_EQUAL(suggestion("--version", {"--json", "--help"}), "known: --json, --help");
  CHECK_EQUAL(suggestion("foo", {"--json"}), "known: --json");
  CHECK_EQUAL(suggestion("foo", {"meta", "image"}, "'"), "known: 'meta', 'image'");
}

}  // namespace

int main() {
  return test::run_all({{"near_words_are_suggested", near_words_are_suggested},
                        {"far_words_are_listed", far_words_are_listed}});
}
