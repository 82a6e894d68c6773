#!/usr/bin/env bash
# Installs Debian packages that are missing, where it may; else says which are missing and goes on.
#   scripts/debian-packages.sh COMMAND=PACKAGE...     a package is missing when its command is not on the PATH
set -euo pipefail

missing=()
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null || [ -x "/usr/sbin/${pair%%=*}" ] || missing+=("${pair#*=}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if command -v apt-get >/dev/null && { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }; then
  echo "installing Debian packages: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  # No service is started: what needs a server starts its own.
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
  "${as_root[@]}" chmod +x /usr/sbin/policy-rc.d
  trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "missing, and not mine to install: ${missing[*]} (sudo apt-get install ${missing[*]})" >&2
fi
