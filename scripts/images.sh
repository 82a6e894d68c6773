#!/usr/bin/env bash
# The images of the services.
#   scripts/images.sh build            with docker, podman or buildah, whichever is there (or CONTAINER_ENGINE=…)
#   scripts/images.sh push REGISTRY    as REGISTRY/stageline-<service>:TAG
#   scripts/images.sh load COMMAND…    runs COMMAND… IMAGE for each, as in: load kind load docker-image
#   scripts/images.sh list             their names
# TAG is the version, or another; GPU=1 adds the variants for CUDA, of those that have one; BUILD_FLAGS go to the engine.
set -euo pipefail
cd "$(dirname "$0")/.."

TAG=${TAG:-$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' stageline/__init__.py)}
services=() gpu_services=()
for folder in *_service; do
  services+=("${folder%_service}")
  [ -z "${GPU:-}" ] || [ ! -f "$folder/requirements-gpu.txt" ] || gpu_services+=("${folder%_service}")
done

engine() {
  local candidate
  for candidate in ${CONTAINER_ENGINE:-docker podman buildah}; do
    case $candidate in
      docker) docker version >/dev/null 2>&1 && { echo docker; return; } ;; # the client may be there without its daemon
      *) command -v "$candidate" >/dev/null && { echo "$candidate"; return; } ;;
    esac
  done
  echo "no docker (with its daemon running), podman or buildah here: install one, or set CONTAINER_ENGINE" >&2
  return 2
}

names() {
  local service
  for service in "${services[@]}"; do echo "docker.io/stageline/$service:$TAG"; done
  for service in ${gpu_services[@]+"${gpu_services[@]}"}; do echo "docker.io/stageline/$service:$TAG-gpu"; done
}

build_one() { # SERVICE IMAGE [FLAG...]
  local service=$1 image=$2; shift 2
  local command=(docker build)
  case $engine in
    podman) command=(podman build --format docker --layers) ;; # the format that keeps HEALTHCHECK
    buildah) command=(buildah bud --format docker --layers) ;;
  esac
  echo "building $image with $engine" >&2
  # shellcheck disable=SC2086 # BUILD_FLAGS are several words
  "${command[@]}" ${BUILD_FLAGS:-} "$@" -f "${service}_service/Dockerfile" -t "$image" .
}

build() {
  local service
  for service in "${services[@]}"; do build_one "$service" "docker.io/stageline/$service:$TAG"; done
  for service in ${gpu_services[@]+"${gpu_services[@]}"}; do # bash 3.2 calls an empty array unbound
    build_one "$service" "docker.io/stageline/$service:$TAG-gpu" --build-arg REQUIREMENTS=requirements-gpu.txt
  done
}

push() { # REGISTRY
  local image target
  for image in $(names); do
    target=$1/stageline-${image##*/}
    "$engine" tag "$image" "$target"
    "$engine" push "$target"
  done
}

load() { # COMMAND...
  local image
  for image in $(names); do "$@" "$image"; done
}

action=${1:-}
[ $# -gt 0 ] && shift
case $action in
  build) engine=$(engine) && build ;;
  push)
    [ $# -eq 1 ] || { echo "push takes a registry: make push REGISTRY=registry.example.com/team" >&2; exit 2; }
    engine=$(engine) && push "$1" ;;
  load)
    [ $# -gt 0 ] || { echo "load takes a command, as in: scripts/images.sh load kind load docker-image" >&2; exit 2; }
    load "$@" ;;
  list) names ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
