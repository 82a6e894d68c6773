#!/bin/sh
# Makes the Secret, with random passwords; those that the environment has are taken from there. Letters, digits and -._~
# only. With another store than minio.yaml, MINIO_ACCESS_KEY and MINIO_SECRET_KEY are its keys, or both empty:
# the pod's own role serves then.
set -eu
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
kubectl -n stageline create secret generic stageline --from-env-file=/dev/stdin <<SECRET
REDIS_PASSWORD=${REDIS_PASSWORD:-$(random)}
CACHE_PASSWORD=${CACHE_PASSWORD:-$(random)}
DATABASE_PASSWORD=${DATABASE_PASSWORD:-$(random)}
MINIO_ROOT_USER=${MINIO_ROOT_USER:-admin}
MINIO_ROOT_PASSWORD=${MINIO_ROOT_PASSWORD:-$(random)}
MINIO_ACCESS_KEY=${MINIO_ACCESS_KEY-stageline}
MINIO_SECRET_KEY=${MINIO_SECRET_KEY-$(random)}
SECRET
