# mark poll guard limit ROOT tar|begin|append|nothing gzip|plain check|later (PART NAME BYTES SHA256 MODE)...:
# takes in files from our input and gives those that are whole their names.
mark=$1 poll=$2 guard=${3:-$$} limit=$4 root=$5 how=$6 packing=$7 check=$8
shift 8
exec 3<&0 </dev/null
printf '%s begin\n' "$mark"
printf '%s begin\n' "$mark" >&2
watch_guard "$guard" "$limit" >/dev/null 2>&1 3<&- &
watchers=$!
prepare_all() {
  while [ $# -gt 0 ]; do
    prepare "$1"
    prepare "$2"
    shift 5
  done
}

input() {
  if [ "$packing" = gzip ]; then gzip -dc <&3; else cat <&3; fi
}

prepare_all "$@"
case $how in
  tar) (cd "$root" && input | tar -xmf -) || finish 1 ;;
  begin) input >"$root/$1" || finish 1 ;;
  append) input >>"$root/$1" || finish 1 ;;
esac

# Prints whole, short, differs or unhashed.
state_of() {
  size=$(wc -c <"$1") || size=-1
  if [ "${size##* }" -ne "$2" ]; then
    printf short
  elif [ "$check" = later ]; then
    printf whole
  elif ! command -v sha256sum >/dev/null; then
    printf unhashed
  else
    sum=$(sha256sum <"$1")
    if [ "${sum%% *}" = "$3" ]; then printf whole; else printf differs; fi
  fi
}

while [ $# -gt 0 ]; do
  part=$root/$1 name=$root/$2 bytes=$3 sha256=$4 mode=$5
  shift 5
  state=$(state_of "$part" "$bytes" "$sha256")
  if [ "$state" = whole ]; then
    # What is used without another check must be on the disk before it has its name.
    [ "$check" = later ] || sync "$part" 2>/dev/null || sync
    chmod "$mode" "$part" && mv -f "$part" "$name" || finish 1
  elif [ "$state" = differs ]; then
    rm -f "$part"
  fi
  printf '%s\n' "$state"
done
finish 0
