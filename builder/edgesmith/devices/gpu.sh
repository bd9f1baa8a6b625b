# What a device has of NVIDIA's, told in lines `KEY VALUE`; needs what probe.sh needs, and
# libraries.sh before it. Arguments: as for probe.sh, without the loader.
#   driver VERSION                       of the kernel's module, empty: none
#   gpu NAME
#   searched LIBRARY FILE IDENTITY PATH  the loader finds it; FILE is what a link leads to
#   uncached ...                         its folder is configured, and ldconfig has not seen it
#   outside ...                          it lies where the loader does not look
#   foreign ...                          only for another machine, or no library (IDENTITY is -)
#   other ...                            only of another version
#   missing LIBRARY
root=$1 identity=$2
shift 2

driver_of_module() {
  sed -n 's/^NVRM.*Kernel Module\( for [^ ]*\)\{0,1\}  *\([0-9][0-9.]*\).*/\2/p' \
    "$root/proc/driver/nvidia/version" 2>/dev/null
}

gpus_of_module() {
  for file in "$root"/proc/driver/nvidia/gpus/*/information; do
    [ -r "$file" ] && sed -n 's/^Model:[[:space:]]*//p' "$file"
  done
}

# Lines `VERSION, NAME`; where it fails, it says so on the same stream.
smi() {
  [ -z "$root" ] || return
  if answer=$(nvidia-smi --query-gpu=driver_version,name --format=csv,noheader 2>/dev/null); then
    printf '%s\n' "$answer" | grep '^[0-9][0-9.]*, '
  fi
}

# Where NVIDIA's installers put libraries, whether or not the loader looks there.
installers_folders() {
  for folder in "$root"/usr/local/cuda*/lib64 "$root"/usr/local/cuda*/targets/*/lib \
    "$root"/opt/cuda*/lib64 "$root"/usr/lib/*/tegra "$root"/usr/lib/*/nvidia \
    "$root"/usr/lib/wsl/lib "$root"/usr/local/[Tt]ensor[Rr][Tt]*/lib \
    "$root"/opt/[Tt]ensor[Rr][Tt]*/lib "$root"/usr/local/lib/python3*/*-packages/nvidia/*/lib \
    "$root"/usr/local/lib/python3*/*-packages/tensorrt*libs; do
    [ -d "$folder" ] && printf '%s\n' "${folder#"$root"}"
  done
}

# $1: a key, $2: a library, $3: the path where it, or what stands for it, was found.
tell() {
  real=$(readlink -f "$root$3" 2>/dev/null)
  real=$(printf '%s' "${real:-$3}" | tr ' \n' '??')
  elf=$(elf_of "$root$3")
  printf '%s %s %s %s %s\n' "$1" "$2" "${real##*/}" "${elf:--}" "$3"
}

# Without a cache the loader looks into the folders themselves.
is_cached() {
  [ -r "$root/etc/ld.so.cache" ] || return 0
  printf '%s\n' "$cached" | grep -qF "/$1 "
}

tell_other() {
  printf '%s\n' "$everywhere" | while read -r folder; do
    for file in "$root$folder/${1%%.so.*}".so.[0-9]*; do
      if [ -n "$folder" ] && [ -r "$file" ] && [ "$(elf_of "$file")" = "$identity" ]; then
        tell other "$1" "${file#"$root"}"
        break 2
      fi
    done
  done
}

tell_foreign() {
  printf '%s\n' "$everywhere" | while read -r folder; do
    if [ -n "$folder" ] && { [ -f "$root$folder/$1" ] || [ -L "$root$folder/$1" ]; }; then
      tell foreign "$1" "$folder/$1"
      break
    fi
  done
}

tell_library() {
  path=$(find_library "$1" "$named")
  configured_path=$(find_library "$1" "$configured")
  if [ -z "$path" ] && is_cached "$1"; then path=$configured_path; fi
  [ -n "$path" ] || path=$(find_library "$1" "$built_in")
  if [ -n "$path" ]; then
    tell searched "$1" "$path"
  elif [ -n "$configured_path" ]; then
    tell uncached "$1" "$configured_path"
  elif path=$(find_library "$1" "$installed") && [ -n "$path" ]; then
    tell outside "$1" "$path"
  else
    answer=$(tell_foreign "$1")
    [ -n "$answer" ] || answer=$(tell_other "$1")
    printf '%s\n' "${answer:-missing $1}"
  fi
}

driver=$(driver_of_module)
gpus=$(gpus_of_module)
if [ -z "$driver" ] || [ -z "$gpus" ]; then
  table=$(smi)
  [ -n "$driver" ] || driver=$(printf '%s\n' "$table" | sed -n '1s/,.*//p')
  [ -n "$gpus" ] || gpus=$(printf '%s\n' "$table" | sed -n 's/^[^,]*, *//p')
fi
printf 'driver %s\n' "$driver"
[ -z "$gpus" ] || printf '%s\n' "$gpus" | while read -r name; do printf 'gpu %s\n' "$name"; done

named=$(printf '%s\n' "${LD_LIBRARY_PATH-}" | tr ':;' '\n\n' | grep '^/')
configured=$(configured_folders)
built_in=$(built_in_folders)
installed=$(installers_folders)
everywhere=$(printf '%s\n' "$named" "$configured" "$built_in" "$installed")
cached=
if [ -r "$root/etc/ld.so.cache" ]; then
  # Its paths, each with a space behind it: no name is part of another then.
  cached=$(texts_of "$root/etc/ld.so.cache" | sed -n 's/^.*\/lib.*/& /p')
fi
for name in "$@"; do tell_library "$name"; done
