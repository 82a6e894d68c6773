#!/bin/sh
# As the official image does: what is no `minio …` is given to minio.
[ -z "${1:-}" ] || [ "$1" = minio ] || set -- minio "$@"
exec "$@"
