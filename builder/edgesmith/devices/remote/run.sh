# mark poll guard limit stdin|alone PROGRAM ARGUMENT...: runs a program to its end.
mark=$1 poll=$2 guard=${3:-$$} limit=$4 how=$5
shift 5
exec 3<&0 </dev/null
printf '%s begin\n' "$mark"
printf '%s begin\n' "$mark" >&2
env -i PATH="$PATH" HOME="$HOME" LC_ALL=C "$@" 3<&- &
child=$!
watch_guard "$guard" "$limit" >/dev/null 2>&1 3<&- &
watchers=$!
if [ "$how" = stdin ]; then
  # The host holds our input open for as long as it wants the program to run.
  { while read -r _; do :; done <&3; end_all; } >/dev/null 2>&1 &
  watchers="$watchers $!"
fi
wait "$child"
finish $?
