#!/usr/bin/env bash
# Puts back what backup.sh made: both buckets first, then the database, in one transaction.
#   scripts/restore.sh [--place kubernetes|compose|plain] [--yes] FOLDER       --yes: ask nothing
# The line must be up, and its servers. What is in the buckets under other names stays there. See docs/backup.md.
set -euo pipefail
. "$(dirname "$0")/places.sh"

place='' folder='' yes=''
while [ $# -gt 0 ]; do
  case $1 in
    --place) place=${2:?kubernetes, compose or plain} && shift ;;
    --yes) yes=yes ;;
    -*) refuse "$1 is no option: scripts/restore.sh [--place kubernetes|compose|plain] [--yes] FOLDER" ;;
    *) folder=${1%/} ;;
  esac
  shift
done

[ -n "$folder" ] || refuse "name the folder of a backup: scripts/restore.sh FOLDER"
buckets=buckets/SHA256SUMS
[ ! -f "$folder/buckets.tar" ] || buckets=buckets.tar # as 0.1.0 made it
for file in SHA256SUMS manifest.json $buckets; do
  [ -f "$folder/$file" ] || refuse "$folder has no $file: it is no backup, or not a whole one; nothing was changed"
done
output=$(cd "$folder" && sums -c SHA256SUMS 2>&1) ||
  refuse "the backup is damaged, so nothing was changed: $(grep -v ': OK$' <<<"$output" | head -1)"
dump=$folder/catalogue.dump
for file in manifest.json $buckets catalogue.dump; do
  [ ! -f "$folder/$file" ] || grep -q " [*]\?\./$file\$" "$folder/SHA256SUMS" ||
    refuse "SHA256SUMS does not name $file: it is not of this backup; nothing was changed"
done
find_line "$place"
if [ $buckets = buckets.tar ]; then
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  "$root/scripts/unpack-archive.sh" "$folder/buckets.tar" "$unpacked/buckets" >&2 ||
    refuse "the archive of the buckets cannot be unpacked, so nothing was changed (in ${TMPDIR:-/tmp}; TMPDIR names another place)"
  buckets=$unpacked/buckets
else
  buckets=$folder/buckets
fi
copy_buckets check "$buckets" || refuse "the buckets of this backup are damaged: nothing was changed"

if [ -z "$yes" ]; then
  there=$(in_line bucket count </dev/null)
  if [ -n "$database" ]; then
    rows=$(in_postgres psql --dbname="$database" -Atc 'SELECT count(*) FROM image_info' 2>/dev/null </dev/null || echo 0)
    there+=$'\n'"catalogue: $rows pictures"
  fi
  if grep -qE ': [1-9]' <<<"$there"; then
    printf 'There is something already:\n%s\nObjects of the same names and all rows are overwritten.' "$there" >&2
    [ -t 0 ] || { echo >&2; refuse "say --yes to overwrite them; nothing was changed"; }
    read -r -p " Go on? [y/N] " answer
    [[ $answer == [yY]* ]] || refuse "nothing was changed"
  fi
fi

echo "the buckets …" >&2
copy_buckets import "$buckets" ||
  fail "the buckets are not whole, and the database is as it was: when that is mended, run this again"
in_line bucket refresh </dev/null || echo "old copies in the cache may be read for up to CACHE_TTL" >&2
if [ -n "$database" ] && [ -f "$dump" ]; then
  echo "the database …" >&2
  in_postgres pg_restore --clean --if-exists --no-owner --no-privileges --single-transaction --exit-on-error \
    --dbname="$database" <"$dump" ||
    fail "the database is as it was, the buckets are restored: when that is mended, run this again"
  in_line catalogue migrate </dev/null
fi

echo "restored $folder. Now:"
if [ -z "$database" ] || [ ! -f "$dump" ]; then
  echo "  $(how catalogue rebuild)      makes the catalogue, from the buckets"
fi
echo "  $(how reconcile --queue)      sends the pictures on that were on their way"
