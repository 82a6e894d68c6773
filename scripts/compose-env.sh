#!/bin/sh
# Makes .env of .env.example, with random passwords, for its owner's eyes only. One that is there stays as it is.
set -eu
cd "$(dirname "$0")/.."
umask 077
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
if [ -e .env ]; then
  echo ".env is there already, and its passwords open what was stored: add by hand what it lacks" >&2
  exit 1
fi
while IFS= read -r row; do
  case $row in [A-Z]*=) row=$row$(random) ;; esac
  echo "$row"
done <.env.example >.env.new
mv .env.new .env
echo "made .env; next: docker compose up -d --wait"
