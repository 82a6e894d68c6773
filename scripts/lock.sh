#!/usr/bin/env bash
# Makes the one lock, requirements.lock, of pyproject.toml, and from it what is installed where:
# requirements/*.txt for this machine, and stageline/ and each service's requirements.txt for its container.
# With --upgrade everything moves to its newest release.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() { # OUTPUT ARGUMENT...
  local output=$1; shift
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links --output-file "$output" "$@"
  sed -i '1i # Made by scripts/lock.sh; do not edit.' "$output"
}

compile requirements.lock pyproject.toml --all-extras "$@"
compile requirements/line.txt pyproject.toml --constraints requirements.lock
for extra in test train docs; do
  compile "requirements/$extra.txt" pyproject.toml --extra "$extra" --constraints requirements.lock
done
for input in stageline/requirements.in *_service/requirements*.in; do
  compile "${input%.in}.txt" "$input" --constraints requirements.lock
done
# The samples' wheels are opened for their photographs and never installed: those two, without what they need.
compile requirements/samples.txt --no-deps --constraints requirements.lock <(printf 'matplotlib\nscikit-image\n')
