#!/usr/bin/env bash
# Installs the Debian packages that tests need, where it may; says plainly what stays missing
# and which tests are skipped for it. Never fails: the tests themselves say what they skip.
set -u

# program or file that proves presence | Debian package | what is skipped without it
needs=(
  "g++|g++|C++ tests under AddressSanitizer and UBSan, toolchain = \"gcc\""
  "clang++|clang|fuzzing in make check-slow"
  "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-$(uname -m).a|libclang-rt-dev|fuzzing in make check-slow"
  "/usr/include/valijson/validator.hpp|libvalijson-dev|the C++ check of reports against their schema"
  "/usr/sbin/sshd|openssh-server|the tests of devices over SSH"
  "ssh|openssh-client|the tests of devices over SSH"
  "busybox|busybox-static|the tests of devices over SSH whose shell is busybox's"
  "strace|strace|the installer's test that kills it at every step"
  "unshare|util-linux|the proofs that an offline build needs no network and no build needs root"
  "qemu-aarch64-static|qemu-user-static|emulated devices"
  "/usr/aarch64-linux-gnu/lib/libstdc++.so.6|libstdc++6-arm64-cross|emulated 64-bit ARM devices"
  "/usr/arm-linux-gnueabihf/lib/libstdc++.so.6|libstdc++6-armhf-cross|emulated 32-bit ARM devices"
  "/usr/sbin/sshd|openssh-server|devices that are reached by SSH"
  "ssh|openssh-client|devices that are reached by SSH"
  "aarch64-linux-gnu-g++|g++-aarch64-linux-gnu|toolchain = \"gcc\" for ARM"
)

present() {
  case "$1" in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

missing=()
for need in "${needs[@]}"; do
  IFS='|' read -r probe package _ <<<"$need"
  present "$probe" || missing+=("$package")
done
[ "${#missing[@]}" -eq 0 ] && exit 0

run_as_root=()
if [ "$(id -u)" -ne 0 ]; then
  run_as_root=(sudo -n)
fi
if command -v apt-get >/dev/null 2>&1; then
  echo "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { "${run_as_root[@]}" apt-get update -qq &&
    "${run_as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
    >/dev/null 2>&1 || echo "apt-get could not install all of: ${missing[*]}"
fi
for need in "${needs[@]}"; do
  IFS='|' read -r probe package skipped <<<"$need"
  present "$probe" || echo "not installed: $package; skipped: $skipped"
done
exit 0
