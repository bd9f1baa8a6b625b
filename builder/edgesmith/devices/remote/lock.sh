# mark poll guard limit ROOT NAME: holds a lock until our input ends, or the guard does.
# With flock, the kernel lets go of it; without, a link names the holder, and one that no longer
# runs is no holder.
mark=$1 poll=$2 guard=$3 root=$5 file=$5/$6
printf '%s begin\n' "$mark"
printf '%s begin\n' "$mark" >&2
mkdir -p "$root" || finish 1
exec 3<&0 </dev/null
watch_guard "$guard" 2000000000 >/dev/null 2>&1 3<&- &
watchers=$!
busy() {
  printf '%s busy\n' "$mark"
  finish 0
}

read_holder() {
  holder=$(readlink "$link" 2>/dev/null)
  IFS=' ' read -r holder_pid holder_start holder_boot <<EOF
$holder
EOF
}

holder_runs() {
  [ "$holder_boot" = "$boot" ] && look "$holder_pid" && [ "$started" = "$holder_start" ]
}

hold_link() {
  link=$file.holder
  IFS= read -r boot </proc/sys/kernel/random/boot_id
  look $$
  mine="$$ $started $boot"
  until ln -s "$mine" "$link" 2>/dev/null; do
    read_holder
    [ -n "$holder" ] || { ln -s "$mine" "$link" || finish 1; break; }
    if holder_runs; then busy; fi
    # One of those who find the dead holder moves its link away; what is moved must be that one.
    mv "$link" "$link.$$" 2>/dev/null || continue
    moved=$(readlink "$link.$$")
    [ "$moved" = "$holder" ] || ln -s "$moved" "$link" 2>/dev/null
    rm -f "$link.$$"
  done
}

link=
if command -v flock >/dev/null; then
  (: >>"$file") || finish 1
  exec 9>>"$file"
  flock -n 9
  case $? in
    0) ;;
    1) busy ;;
    *) finish 1 ;;
  esac
else
  hold_link
fi
printf '%s held\n' "$mark"
while read -r _ <&3; do :; done
[ -z "$link" ] || rm -f "$link"
finish 0
