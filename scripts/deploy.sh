#!/usr/bin/env bash
# Puts the line on the cluster that kubectl is set to, waits until it is ready, and prints its addresses.
#   scripts/deploy.sh                                     the images as k8s/ names them, which the nodes must have
#   scripts/deploy.sh --build --load 'kind load docker-image'       builds them, and gives each to that command
#   scripts/deploy.sh --build --registry registry.example.com/team  builds and pushes them, and uses them from there
#   --overlay DIR    a Kustomize overlay instead of k8s/ itself, as overlays/gpu
#   --with DIR       adds a folder, as k8s/backup or k8s/network-policies; may be repeated
#   --without NAME   leaves a service out, as minio where the store is another; may be repeated
#   --tag TAG        other than the version        --timeout SECONDS    to wait for each part (300)
# What is there already is brought up to date; the Secret is made once, with random passwords, and then left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/cluster.sh
. scripts/cluster.sh

build='' load='' registry='' overlay=k8s tag='' timeout=300 with='' without=''
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=1 ;;
    --with | --without)
      [ $# -gt 1 ] || refuse "$1 takes a value"
      case $1 in --with) with="$with $2" ;; *) without=${without:+$without,}$2 ;; esac
      shift ;;
    --load | --registry | --overlay | --tag | --timeout)
      [ $# -gt 1 ] || refuse "$1 takes a value"
      printf -v "${1#--}" %s "$2"
      shift ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done
for folder in $overlay $with; do [ -d "$folder" ] || refuse "$folder: there is no such folder"; done
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' stageline/__init__.py)
prefix=${registry:+$registry/stageline-}
prefix=${prefix:-docker.io/stageline/}
export TAG=${tag:-$version}
need_cluster
need_kustomize

bring_images() {
  [ -z "$build" ] || scripts/images.sh build
  # shellcheck disable=SC2086 # a command and its words
  [ -z "$load" ] || scripts/images.sh load $load
  if [ -n "$build" ] && [ -n "$registry" ]; then scripts/images.sh push "$registry"; fi
}

manifests() { # the whole line, with the images by the names that were asked for
  local folder file
  {
    kubectl kustomize "$overlay"
    for folder in $with; do
      for file in "$folder"/*.yaml; do printf -- '---\n' && cat "$file"; done
    done
  } | sed -E "s#docker\.io/stageline/([a-z]+):$version(-gpu)?#$prefix\1:$TAG\2#"
}

make_secret() {
  kubectl -n $namespace get secret stageline >/dev/null 2>&1 && return
  echo "making the Secret, with random passwords"
  scripts/secret.sh >/dev/null
}

wait_until_ready() {
  local workload
  for workload in $(kubectl -n $namespace get statefulset,deployment -o name); do
    kubectl -n $namespace rollout status --timeout="${timeout}s" "$workload" && continue
    print_reasons >&2
    exit 1
  done
}

rendered=$(manifests)
if grep -q 'image: .*-gpu$' <<<"$rendered"; then export GPU=1; fi
bring_images
echo "deploying to $(kubectl config current-context)"
kubectl apply -f k8s/namespace.yaml
make_secret
kubectl apply -l "app.kubernetes.io/name notin ($without)" -f - <<<"$rendered"
wait_until_ready
say_where
