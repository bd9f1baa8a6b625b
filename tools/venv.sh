#!/usr/bin/env bash
# Makes .venv with edgesmith and the extras given (such as "torch,examples,test", or none) in it.
# A stamp holds what was installed from, so that an unchanged .venv is left as it is.
set -euo pipefail

extras="${1:-}"
cd "$(dirname "$0")/.."
stamp=".venv/.edgesmith-${extras//,/-}"
if [ -f "$stamp" ] && ! [ pyproject.toml -nt "$stamp" ] && ! [ constraints.txt -nt "$stamp" ]; then
  exit 0
fi

python="${PYTHON:-python3}"
if ! [ -x .venv/bin/pip ]; then
  if ! "$python" -m venv .venv 2>/dev/null; then
    echo "python3 can't make virtual environments: installing the Debian package python3-venv"
    sudo=$([ "$(id -u)" -eq 0 ] || echo "sudo -n")
    { $sudo apt-get update -qq && $sudo apt-get install -y -qq python3-venv; } >/dev/null || {
      echo "error: could not install python3-venv; run: apt-get install python3-venv" >&2
      exit 5
    }
    rm -rf .venv
    "$python" -m venv .venv
  fi
fi
command -v npm >/dev/null 2>&1 || extras="${extras:+$extras,}npm"
echo "installing edgesmith${extras:+[$extras]} and what it needs into .venv"
.venv/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
  --editable ".${extras:+[$extras]}" 2> >(grep -v "^WARNING: Location" >&2)
touch "$stamp"
