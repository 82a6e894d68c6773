#!/usr/bin/env bash
# Installs Debian packages that are missing, where it may; else prints which are missing and goes on.
#   scripts/debian-packages.sh COMMAND=PACKAGE...     a package is missing when its command is not on the PATH
# Under CI=true it must.
set -euo pipefail

missing=()
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null || [ -x "/usr/sbin/${pair%%=*}" ] || missing+=("${pair#*=}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
policy=/usr/sbin/policy-rc.d
install() {
  "${as_root[@]}" apt-get update -qq || true # what is known may do
  if [ ! -e $policy ]; then # no service is started: what needs a server starts its own
    trap '"${as_root[@]}" rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null
    "${as_root[@]}" chmod +x $policy
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

how="sudo apt-get install ${missing[*]}"
if ! command -v apt-get >/dev/null || ! { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
  echo "missing, and not mine to install: ${missing[*]} ($how)" >&2
else
  echo "installing Debian packages: ${missing[*]}"
  install && exit 0
  echo "missing, and not to be had: ${missing[*]} ($how)" >&2
fi
[ "${CI:-}" != true ]
