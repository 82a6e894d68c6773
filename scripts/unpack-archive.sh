#!/usr/bin/env bash
# Makes a folder that `stageline bucket import` takes of a tar archive that `stageline bucket export` of 0.1.0 wrote.
#   scripts/unpack-archive.sh ARCHIVE FOLDER
# The folder appears whole or not at all: the archive's last member counts what must be in it.
set -euo pipefail
. "$(dirname "$0")/places.sh"
umask 077 # people's pictures

[ $# -eq 2 ] || refuse "name an archive and a new folder: scripts/unpack-archive.sh ARCHIVE FOLDER"
archive=$1 folder=${2%/}
[ -f "$archive" ] || refuse "there is no file $archive; nothing was changed"
for each in "$folder" "$folder.partial"; do
  [ ! -e "$each" ] || refuse "$each is there already, so nothing was changed: name another folder, or remove it"
done
for program in tar rclone; do
  command -v $program >/dev/null || refuse "$program is not on the PATH: install it; nothing was changed"
done

partial=$folder.partial
mkdir -p "$partial" || refuse "$partial cannot be made: name another folder"
trap 'chmod -R u+rwX "$partial" && rm -rf "$partial"' EXIT
tar -xf "$archive" -C "$partial" --no-same-owner || fail "$archive is damaged or cut off, or is no tar archive"
[ -f "$partial/stageline.json" ] || fail "$archive is cut off or damaged: its end, stageline.json, is missing"
foreign=$(cd "$partial" && find . \( ! -type f ! -type d \) -o \( -type f ! -path './images/*' ! -path './models/*' \
  ! -path ./stageline.json \))
[ -z "$foreign" ] || fail "$archive holds ${foreign%%$'\n'*}: an archive of buckets has plain files in images/ and models/, and nothing else"
for bucket in images models; do
  mkdir -p "$partial/$bucket"
  grep -qF "\"$bucket\": $(content "$partial/$bucket")" "$partial/stageline.json" ||
    { ! grep -qF "\"$bucket\"" "$partial/stageline.json" && [ -z "$(ls "$partial/$bucket")" ]; } ||
    fail "$archive is not whole: stageline.json counts other objects of $bucket than are in it"
done
rm "$partial/stageline.json"
RCLONE_CONFIG=/dev/null rclone hashsum sha256 --quiet --output-file "$partial.sums" "$partial"
mv "$partial.sums" "$partial/SHA256SUMS"
mv "$partial" "$folder"
trap - EXIT
echo "unpacked to $folder"
