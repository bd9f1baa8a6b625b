# mark poll guard limit ROOT NAME raw|hex: prints the size of a file, then its bytes.
mark=$1 poll=$2 guard=${3:-$$} limit=$4 root=$5 name=$6 how=$7
printf '%s begin\n' "$mark" >&2
watch_guard "$guard" "$limit" >/dev/null 2>&1 </dev/null &
watchers=$!
file=$root/$name
size=
if ! inside "$name"; then
  printf '%s: a link on the way leads elsewhere\n' "$file" >&2
elif [ -f "$file" ]; then
  size=$(wc -c <"$file")
else
  printf '%s: no such file\n' "$file" >&2
fi
printf '%s begin %s\n' "$mark" "${size##* }"
status=1
if [ -n "$size" ] && [ "$how" = raw ]; then
  cat <"$file"
  status=$?
elif [ -n "$size" ]; then
  od -An -v -tx1 <"$file"
  status=$?
fi
finish "$status"
