# What a device has, told in lines `KEY VALUE`; needs a POSIX shell with od, tr, grep and sort.
# Arguments: a folder before every path (empty: the device itself), the ELF identity that
# libraries must have (class and machine in hex, empty: any), the loader, then libraries.
LC_ALL=C
export LC_ALL
root=$1 identity=$2 loader=$3
shift 3

# Class (byte 4) and machine (bytes 18, 19) of an ELF file; nothing for any other file.
elf_of() {
  head=$(od -An -tx1 -N20 "$1" 2>/dev/null | tr -d ' \n')
  case $head in
    7f454c46*) printf '%s%s\n' "$(printf %s "$head" | cut -c9-10)" "$(printf %s "$head" | cut -c37-40)" ;;
  esac
}

folders() {
  for pattern in /etc/ld.so.conf /etc/ld.so.conf.d/*.conf; do
    [ -r "$root$pattern" ] && grep '^/' "$root$pattern"
  done
  for folder in "$root"/lib/*-linux-* "$root"/usr/lib/*-linux-* "$root"/lib64 "$root"/usr/lib64 \
    "$root"/lib "$root"/usr/lib "$root"/usr/local/lib; do
    [ -d "$folder" ] && printf '%s\n' "${folder#"$root"}"
  done
}

find_library() {
  printf '%s\n' "$places" | while read -r folder; do
    file=$root$folder/$1
    [ -r "$file" ] || continue
    [ -z "$identity" ] || [ "$(elf_of "$file")" = "$identity" ] || continue
    printf '%s\n' "$file"
    break
  done
}

places=$(folders)
printf 'shell %s\n' "$(elf_of "$root/bin/sh")"
if [ -n "$loader" ]; then
  if [ -e "$root$loader" ]; then printf 'loader yes\n'; else printf 'loader no\n'; fi
fi
for name in "$@"; do
  file=$(find_library "$name")
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
  tr -c '[:print:]' '\n' <"$file" | grep -E "^($kinds)_[0-9]+(\.[0-9]+)*\$" |
    sort -u | while read -r version; do printf 'version %s\n' "$version"; done
done
if [ -r "$root/proc/cpuinfo" ]; then
  printf 'features %s\n' "$(grep -m 1 -E '^(flags|Features)' "$root/proc/cpuinfo" | cut -d: -f2-)"
fi
