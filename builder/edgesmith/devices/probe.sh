# What a device has, told in lines `KEY VALUE`; needs a POSIX shell with od, tr, grep and sort, and
# libraries.sh before it.
# Arguments: a folder before every path (empty: the device itself), the ELF identity that
# libraries must have (class and machine in hex, empty: any), the loader, then libraries.
root=$1 identity=$2 loader=$3
shift 3

places=$(
  configured_folders
  built_in_folders
)
printf 'shell %s\n' "$(elf_of "$root/bin/sh")"
if [ -n "$loader" ]; then
  if [ -e "$root$loader" ]; then printf 'loader yes\n'; else printf 'loader no\n'; fi
fi
for name in "$@"; do
  file=$(find_library "$name" "$places")
  if [ -z "$file" ]; then
    printf 'missing %s\n' "$name"
    continue
  fi
  printf 'library %s\n' "$name"
  # Its own versions: a library also names those that it needs of others.
  case $name in
    libc.so.*) kinds=GLIBC ;;
    libstdc++.so.*) kinds='GLIBCXX|CXXABI' ;;
    libgcc_s.so.*) kinds=GCC ;;
    *) continue ;;
  esac
  texts_of "$root$file" | grep -E "^($kinds)_[0-9]+(\.[0-9]+)*\$" |
    sort -u | while read -r version; do printf 'version %s\n' "$version"; done
done
if [ -r "$root/proc/cpuinfo" ]; then
  printf 'features %s\n' "$(grep -m 1 -E '^(flags|Features)' "$root/proc/cpuinfo" | cut -d: -f2-)"
fi
