# What scripts that touch files share.
# Whether no link stands on the way from the root to the file $1 below it.
inside() {
  path=$root rest=$1
  while :; do
    case $rest in
      */*) path=$path/${rest%%/*} rest=${rest#*/} ;;
      *) break ;;
    esac
    [ ! -h "$path" ] || return 1
  done
  [ ! -h "$path/$rest" ]
}

# Makes the folder of the file $1 below the root; a link on the way is refused.
prepare() {
  if ! inside "$1"; then
    printf 'refused %s: a link on the way leads elsewhere\n' "$root/$1" >&2
    finish 1
  fi
  case $1 in
    */*) mkdir -p "$root/${1%/*}" || finish 1 ;;
  esac
}
