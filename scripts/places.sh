# Where a line runs, for backup.sh and restore.sh: in kubernetes, in compose, or plain, which is wherever the environment
# says (DATABASE_URL, MINIO_*). Sourced, not run.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/cluster.sh"

in_line() { # ARGUMENT...: stageline's command line, where the line is
  case $place in
    kubernetes) kubectl -n "$namespace" exec -i deploy/grab -c grab -- python -P -m stageline "$@" ;;
    compose) compose exec -T grab python -P -m stageline "$@" ;;
    plain) if command -v stageline >/dev/null; then stageline "$@"; else python3 -P -m stageline "$@"; fi ;;
  esac
}

# export|import|check FOLDER: by rclone on this machine; in compose by its container, as only containers reach the store.
# The script has the store's keys in it, and goes through a pipe.
copy_buckets() {
  local script folder
  script=$(in_line bucket script "$1" </dev/null) || return
  [ "$1" != export ] || mkdir -p "$2"
  folder=$(cd "$2" && pwd)
  case $place in
    compose)
      printf '%s\n' "$script" |
        compose run --rm -T --no-deps --user "$(id -u):$(id -g)" --volume "$folder:/backup" rclone -s /backup
      ;;
    kubernetes) printf '%s\n' "$script" | with_store_forwarded sh -s "$folder" ;;
    plain) printf '%s\n' "$script" | sh -s "$folder" ;;
  esac
}

with_store_forwarded() { # COMMAND...: with the cluster's own MinIO at an address of this machine; any other has its own
  local output forward code=0
  case $(setting MINIO_ENDPOINT || true) in
    minio | minio:* | http://minio | http://minio:*) ;;
    *) "$@"; return ;;
  esac
  output=$(mktemp)
  kubectl -n "$namespace" port-forward service/minio :9000 >"$output" 2>&1 </dev/null &
  forward=$!
  until grep -q '^Forwarding from 127' "$output"; do
    kill -0 $forward 2>/dev/null || { cat "$output" >&2 && rm "$output" && return 1; }
    sleep 0.2
  done
  STAGELINE_FORWARDED=http://$(sed -n 's/^Forwarding from \(127[0-9.:]*\) .*/\1/p' "$output") "$@" || code=$?
  kill $forward
  rm "$output"
  return $code
}

content() { # FOLDER: how many files are in it, and how many bytes, as JSON
  find "$1" -type f -exec wc -c {} + |
    awk '$2 != "total" { files++; bytes += $1 } END { printf "{\"objects\": %d, \"bytes\": %.0f}", files, bytes }'
}

in_postgres() { # PROGRAM ARGUMENT...: where PostgreSQL is; it takes --dbname="$database"
  case $place in
    kubernetes) kubectl -n "$namespace" exec -i postgres-0 -c postgres -- env PGUSER=stageline "$@" ;;
    compose) compose exec -T -e PGUSER=stageline postgres "$@" ;;
    plain) "$@" ;;
  esac
}

setting() { # NAME: of the line
  case $place in
    kubernetes) kubectl -n "$namespace" exec deploy/grab -c grab -- printenv "$1" ;;
    compose) compose exec -T grab printenv "$1" ;;
    plain) printenv "$1" ;;
  esac </dev/null
}

compose() {
  (cd "$root" && ${COMPOSE:-docker compose} "$@")
}

how() { # ARGUMENT...: the command that a person types there for `stageline ARGUMENT...`
  case $place in
    kubernetes) echo "kubectl -n $namespace exec deploy/grab -- python -P -m stageline $*" ;;
    compose) echo "${COMPOSE:-docker compose} exec grab python -P -m stageline $*" ;;
    plain) echo "stageline $*" ;;
  esac
}

find_line() { # [PLACE]: sets place, and database where there is a PostgreSQL; or prints what is missing and ends
  place=${1:-$(look_around)}
  local output
  case $place in
    kubernetes)
      need_cluster
      output=$(kubectl -n "$namespace" exec deploy/grab -c grab -- true 2>&1 </dev/null) ||
        refuse "no pod of grab takes a command in the namespace $namespace, so nothing was changed: $output"
      ;;
    compose)
      output=$(compose exec -T grab true 2>&1 </dev/null) ||
        refuse "the container grab takes no command, so nothing was changed: is the line up (docker compose up -d)? $output"
      ;;
    plain)
      in_line --help >/dev/null 2>&1 </dev/null ||
        refuse "neither stageline nor python3 -m stageline can be run here: install it (pip install .); nothing was changed"
      ;;
    '') refuse "no line was found, so nothing was changed: no grab in the namespace $namespace that kubectl reaches, none in \
compose, and neither DATABASE_URL nor MINIO_ENDPOINT is set. --place kubernetes, compose or plain says why not" ;;
    *) refuse "--place takes kubernetes, compose or plain, not $place" ;;
  esac
  [ "$place" = compose ] || command -v rclone >/dev/null ||
    refuse "rclone is not on the PATH: install it, as by apt-get install rclone; nothing was changed"
  output=$(in_line bucket count 2>&1 </dev/null) || refuse "the buckets cannot be read, so nothing was changed: $output"
  find_database
}

look_around() {
  if [ -n "${DATABASE_URL:-}${MINIO_ENDPOINT:-}" ]; then
    echo plain
  elif command -v kubectl >/dev/null && kubectl -n "$namespace" get deploy/grab --request-timeout=10s >/dev/null 2>&1; then
    echo kubernetes
  elif [ -n "$(compose ps -q grab 2>/dev/null)" ]; then
    echo compose
  fi
}

find_database() {
  local url host output program
  database=
  url=$(setting DATABASE_URL || true)
  case $url in '' | sqlite:*) return ;; esac
  if [ "$place" = plain ]; then
    for program in pg_dump pg_restore psql; do
      command -v $program >/dev/null ||
        refuse "$program is not on the PATH: install PostgreSQL's client, of the server's version or newer; nothing was changed"
    done
    split "$url"
  else
    host=$(sed -E 's|^[^/]*//([^@/]*@)?([^:/?]*).*|\2|' <<<"$url")
    [ "$host" = postgres ] ||
      refuse "the catalogue is not in the line's own PostgreSQL, but at $host: back up from a machine that reaches it, with \
DATABASE_URL and MINIO_* set (--place plain); nothing was changed"
    database=stageline
  fi
  output=$(in_postgres psql --dbname="$database" -Atc 'SELECT 1' 2>&1 </dev/null) ||
    refuse "PostgreSQL does not answer (DATABASE_URL), so nothing was changed: $output"
}

split() { # URL: the password goes where other users of this machine do not see it
  local bare password
  bare=${1/+psycopg2:/:}
  password=$(sed -nE 's|^[^/]*//[^:@/]*:([^@]*)@.*|\1|p' <<<"$bare")
  password=${password//\\/\\\\}
  PGPASSWORD=$(printf '%b' "${password//%/\\x}")
  export PGPASSWORD=${PGPASSWORD:-${DATABASE_PASSWORD:-}}
  [ -n "$PGPASSWORD" ] || unset PGPASSWORD
  database=$(sed -E 's|^([^/]*//[^:@/]*):[^@]*@|\1@|' <<<"$bare")
}

sums() {
  if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi
}

fail() { # SENTENCE
  echo "$(basename "$0"): $1" >&2
  exit 1
}
