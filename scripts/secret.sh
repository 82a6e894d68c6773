#!/bin/sh
# Makes the Secret with random passwords of letters and digits. Change names and values as you like; where the store is
# not minio.yaml, MINIO_ACCESS_KEY and MINIO_SECRET_KEY are its keys.
set -eu
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
kubectl -n stageline create secret generic stageline \
  --from-literal=REDIS_PASSWORD="$(random)" \
  --from-literal=CACHE_PASSWORD="$(random)" \
  --from-literal=DATABASE_PASSWORD="$(random)" \
  --from-literal=MINIO_ROOT_USER=admin --from-literal=MINIO_ROOT_PASSWORD="$(random)" \
  --from-literal=MINIO_ACCESS_KEY=stageline --from-literal=MINIO_SECRET_KEY="$(random)"
