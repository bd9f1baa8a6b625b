# What the device's scripts share: sent before each of them. `root` is a folder before every path,
# `identity` the ELF identity that libraries must have (class and machine in hex, empty: any).
LC_ALL=C
export LC_ALL

# Class (byte 4) and machine (bytes 18, 19) of an ELF file; nothing for any other file.
elf_of() {
  head=$(od -An -tx1 -N20 "$1" 2>/dev/null | tr -d ' \n')
  case $head in
    7f454c46*) printf '%s%s\n' "$(printf %s "$head" | cut -c9-10)" "$(printf %s "$head" | cut -c37-40)" ;;
  esac
}

# The printable texts in a file, one a line; BusyBox knows no [:print:].
texts_of() {
  tr -c ' -~' '\n' <"$1"
}

# Where the loader looks because its configuration says so: what ldconfig has seen there.
configured_folders() {
  for file in "$root"/etc/ld.so.conf "$root"/etc/ld.so.conf.d/*.conf; do
    [ -r "$file" ] && sed -n 's/[[:space:]]*\(#.*\)\{0,1\}$//; /^\//p' "$file"
  done
  [ -d "$root/usr/local/lib" ] && printf '/usr/local/lib\n'
}

built_in_folders() {
  for folder in "$root"/lib/*-linux-* "$root"/usr/lib/*-linux-* "$root"/lib64 "$root"/usr/lib64 \
    "$root"/lib "$root"/usr/lib; do
    [ -d "$folder" ] && printf '%s\n' "${folder#"$root"}"
  done
}

# The path of the library $1 in the first of the folders $2, one a line, that has one that fits.
find_library() {
  printf '%s\n' "$2" | while read -r folder; do
    file=$root$folder/$1
    [ -n "$folder" ] && [ -r "$file" ] || continue
    [ -z "$identity" ] || [ "$(elf_of "$file")" = "$identity" ] || continue
    printf '%s\n' "$folder/$1"
    break
  done
}
