#!/bin/sh
# What the official image documents of POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also as …_FILE) and PGDATA:
# an empty folder becomes a cluster with that user and database, which hosts enter by password; then postgres runs.
set -eu
case ${1:-} in -*) set -- postgres "$@" ;; esac
[ "${1:-}" = postgres ] || exec "$@"
mkdir -p "$PGDATA"
chmod 700 "$PGDATA" 2>/dev/null || true
if [ "$(id -u)" = 0 ]; then
  chown -R postgres "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi

value() { # NAME DEFAULT: the variable's value, or what is in the file that NAME_FILE names
  eval "plain=\${$1:-} file=\${$1_FILE:-}"
  [ -z "$plain" ] || [ -z "$file" ] || { echo "error: both $1 and $1_FILE are set" >&2; exit 1; }
  if [ -n "$file" ]; then cat "$file"; else printf %s "${plain:-$2}"; fi
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  user=$(value POSTGRES_USER postgres)
  database=$(value POSTGRES_DB "$user")
  password=$(value POSTGRES_PASSWORD '')
  [ -n "$password" ] || {
    echo "Error: Database is uninitialized and superuser password is not specified: set POSTGRES_PASSWORD" >&2
    exit 1
  }
  words=$(mktemp)
  printf '%s\n' "$password" >"$words"
  eval "initdb --username=\"\$user\" --pwfile=\"\$words\" --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}"
  rm -f "$words"
  printf '\nhost all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
  pg_ctl -w start -o "-c listen_addresses='' -c unix_socket_directories=/var/run/postgresql"
  [ "$database" = postgres ] || createdb --username="$user" --maintenance-db=postgres -- "$database"
  pg_ctl -w -m fast stop
fi
exec env -u POSTGRES_PASSWORD "$@"
