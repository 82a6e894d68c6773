#!/usr/bin/env bash
# Backs up a line: its database first, then both buckets, so that whatever has a row has its objects.
#   scripts/backup.sh [--place kubernetes|compose|plain] [FOLDER]          FOLDER: backups/<now> where none is named
# It may run while the line does. docs/backup.md lists what is in a backup, and what is not.
set -euo pipefail
. "$(dirname "$0")/places.sh"
umask 077 # people's pictures

place='' folder=backups/$(date -u +%Y-%m-%dT%H%M%SZ)
while [ $# -gt 0 ]; do
  case $1 in
    --place) place=${2:?kubernetes, compose or plain} && shift ;;
    -*) refuse "$1 is no option: scripts/backup.sh [--place kubernetes|compose|plain] [FOLDER]" ;;
    *) folder=${1%/} ;;
  esac
  shift
done

for each in "$folder" "$folder.partial"; do
  [ ! -e "$each" ] || refuse "$each is there already, so nothing was changed: name another folder, or remove it"
done
find_line "$place"

partial=$folder.partial
mkdir -p "$partial" || refuse "$partial cannot be made: name another folder"
trap 'rm -rf "$partial"' EXIT

rows='{}'
if [ -n "$database" ]; then
  echo "the database …" >&2
  in_postgres pg_dump --format=custom --dbname="$database" </dev/null >"$partial/catalogue.dump" ||
    fail "the database could not be dumped; no backup was made"
  # Read back whole: how many rows of each table are in it.
  rows=$(in_postgres pg_restore --data-only --file=- <"$partial/catalogue.dump" | awk '
    table != "" && $0 == "\\." { printf "%s\"%s\": %d", comma, table, rows; comma = ", "; table = ""; next }
    table != "" { rows++; next }
    /^COPY / { table = $2; sub(/^public\./, "", table); rows = 0 }') ||
    fail "the dump of the database cannot be read back; no backup was made"
  rows="{$rows}"
else
  echo "the catalogue is a file of SQLite's, and not copied: after restoring, it is made again from the bucket" >&2
fi

echo "the buckets …" >&2
copy_buckets export "$partial/buckets" || fail "the buckets could not be copied; no backup was made"
copy_buckets check "$partial/buckets" || fail "the copy of the buckets cannot be read back; no backup was made"
counts=''
for bucket in images models; do
  [ ! -d "$partial/buckets/$bucket" ] || counts+=", \"$bucket\": $(content "$partial/buckets/$bucket")"
done

printf '{"date": "%s", "place": "%s", "rows": %s, "buckets": {%s}}\n' \
  "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$place" "$rows" "${counts#, }" >"$partial/manifest.json"
(cd "$partial" && sums ./*.* ./buckets/SHA256SUMS >SHA256SUMS)
sync
mv "$partial" "$folder"
trap - EXIT
echo "backed up to $folder:"
cat "$folder/manifest.json"
