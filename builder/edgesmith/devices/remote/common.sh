# What every script on a device begins with; POSIX sh, also that of busybox.
# Answers stand between the lines `$mark begin` and `$mark end STATUS`, so that what a login
# prints is no part of them.
LC_ALL=C
export LC_ALL

# Sets `session` and `started` of a process.
look() {
  stat=
  IFS= read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  set -- ${stat##*) }
  session=$4
  shift 9
  shift 9
  started=$2
}

# Where the login made this shell a session of its own, the session is ours to end.
leader=
session=
look $$ && [ "$session" = $$ ] && leader=yes
child=

# Ends all that runs here, whatever process groups it has made.
end_all() {
  IFS=' ' read -r me _ </proc/self/stat
  # The script itself first, which would otherwise go on where its program ends.
  [ "$me" = $$ ] || kill -s STOP $$
  if [ -n "$leader" ]; then
    for round in 1 2; do
      for entry in /proc/[0-9]*; do
        pid=${entry#/proc/}
        look "$pid" || continue
        [ "$session" = $$ ] || continue
        [ "$pid" = $$ ] || [ "$pid" = "$me" ] || kill -s KILL "$pid" 2>/dev/null
      done
    done
    kill -KILL "-$$"
  fi
  [ -z "$child" ] || kill -s KILL "$child" 2>/dev/null
  kill -s KILL $$
}

# Ends all when the connection's guard, process $1, is gone, or $2 seconds are over.
watch_guard() {
  spent=0
  while [ "$spent" -lt "$2" ] && kill -0 "$1" 2>/dev/null; do
    sleep "$poll"
    spent=$((spent + poll))
  done
  end_all
}

# The end of a script: its status, and nothing that runs on.
finish() {
  printf '\n%s end %s\n' "$mark" "$1"
  [ -z "$leader" ] || kill -KILL "-$$"
  for pid in $watchers; do kill -s KILL "$pid" 2>/dev/null; done
  exit 0
}
watchers=
