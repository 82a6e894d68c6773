#!/usr/bin/env bash
# Builds stand-ins for the servers' images, under the very names that k8s/*.yaml give them, for machines that reach no
# registry. A machine with one needs none of this: it pulls the real ones.
#   tests/kubernetes/standins/build.sh [redis|postgres|minio]...      with podman, buildah or docker, else ENGINE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
manifests=$here/../../../k8s
export PATH=$PATH:$here/../../../.setup/bin:${GOBIN:-${GOPATH:-$HOME/go}/bin}

for engine in ${ENGINE:-} podman buildah docker ''; do
  [ -z "$engine" ] || ! command -v "$engine" >/dev/null || break
done
[ -n "$engine" ] || { echo "no podman, buildah or docker on the PATH" >&2; exit 1; }

image_of() { # SERVER: the first image of its manifest that is not one of the line's own
  local found
  found=$(sed -nE 's/^ *(- )?image: *(&[a-z]+ +)?"?([a-z][^" ]*)"?.*/\3/p' "$manifests/$1.yaml" | grep -v /stageline/ | head -1)
  [ -n "$found" ] || { echo "$manifests/$1.yaml names no image" >&2; exit 1; }
  echo "$found"
}

build() { # CONTEXT IMAGE
  case $engine in
    podman | buildah) "$engine" build --quiet --network host --isolation chroot --format docker -t "$2" "$1" ;;
    *) "$engine" build --quiet --network host -t "$2" "$1" ;;
  esac
}

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
[ $# -gt 0 ] || set -- redis postgres minio
for server in "$@"; do
  image=$(image_of "$server")
  cp -r "$here/$server" "$context/"
  chmod 755 "$context/$server/docker-entrypoint.sh"
  if [ "$server" = minio ]; then
    program=$(command -v minio) || { echo "no minio on the PATH: make servers builds it" >&2; exit 1; }
    install -m 755 "$program" "$context/minio/minio"
  fi
  build "$context/$server" "$image" >/dev/null
  echo "$image"
done
