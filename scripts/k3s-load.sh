#!/usr/bin/env bash
# Brings an image from docker or podman into this machine's k3s:  scripts/images.sh load scripts/k3s-load.sh
set -euo pipefail
engine=podman
docker version >/dev/null 2>&1 && engine=docker
"$engine" save "$1" | sudo k3s ctr images import -
