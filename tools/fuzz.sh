#!/usr/bin/env bash
# Fuzzes each target of runtime_cpp/fuzz for a while, from its corpus, and fails on a finding, which is
# left in the build folder. With `keep`, new inputs go into the corpus, reduced to what adds coverage.
set -euo pipefail
build="${1:?usage: tools/fuzz.sh BUILD_FOLDER SECONDS_PER_TARGET [keep]}"
seconds="${2:?usage: tools/fuzz.sh BUILD_FOLDER SECONDS_PER_TARGET [keep]}"
cd "$(dirname "$0")/.."
sources=runtime_cpp/fuzz
targets="manifest safetensors options npy"
# Kept inputs are short: what makes them long adds nothing to what they reach.
limit_bytes=4096

trial="$(mktemp)"
trap 'rm -f "$trial"' EXIT
for version in "" -19 -18 -17 -16 -15 -14; do
  clang="clang++$version"
  if command -v "$clang" >/dev/null &&
    echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    "$clang" -x c++ -fsanitize=fuzzer - -o "$trial" 2>/dev/null; then
    break
  fi
  clang=""
done
if [ -z "$clang" ]; then
  echo "skipped: fuzzing needs a clang that has libFuzzer (Debian: clang, libclang-rt-dev)"
  exit 0
fi

cmake -S . -B "$build" -G Ninja -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=10 \
  -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$clang" \
  -DCMAKE_C_COMPILER="${clang/++/}" -DEDGESMITH_FUZZ=ON >/dev/null
# shellcheck disable=SC2086 # a list of words
cmake --build "$build" --target $(printf 'fuzz_%s ' $targets)
build="$(cd "$build" && pwd)"
LD_LIBRARY_PATH="$(dirname "$(find "$build" -name 'libonnxruntime.so*' -print -quit)")"
export LD_LIBRARY_PATH
for target in $targets; do
  program="$build/runtime_cpp/fuzz/fuzz_$target"
  work="$build/fuzzing/$target"
  mkdir -p "$work/inputs" "$work/findings"
  "$program" -max_total_time="$seconds" -max_len="$limit_bytes" -timeout=10 -verbosity=0 \
    -print_final_stats=1 -dict="$sources/$target.dict" -artifact_prefix="$work/findings/" \
    "$work/inputs" "$sources/corpus/$target" 2>&1 | tee "$work/log" |
    grep -E 'ERROR|SUMMARY|number_of_executed_units|findings' | sed "s/^/$target: /"
  if [ "${3:-}" = keep ]; then
    rm -rf "$work/kept" && mkdir "$work/kept"
    "$program" -merge=1 -max_len="$limit_bytes" "$work/kept" "$sources/corpus/$target" \
      "$work/inputs" 2>/dev/null
    rm -rf "$sources/corpus/$target" && cp -r "$work/kept" "$sources/corpus/$target"
  fi
done
