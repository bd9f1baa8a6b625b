# mark poll guard limit ROOT PART...: makes the folders of files to come and tells how much of
# each is there.
mark=$1 root=$5
shift 5
printf '%s begin\n' "$mark"
printf '%s begin\n' "$mark" >&2
for part in "$@"; do
  prepare "$part"
  if [ -f "$root/$part" ]; then
    size=$(wc -c <"$root/$part") || finish 1
    printf 'size %s\n' "${size##* }"
  else
    printf 'size 0\n'
  fi
done
finish 0
