#!/bin/sh
# Sees to PostgreSQL 13 or later and PgBouncer, which the tests start themselves, as a user of their own.
set -eu
# shellcheck source=hack/as-root.sh
. "$(dirname "$0")/as-root.sh"

has_programs() {
  for bin in /usr/lib/postgresql/*/bin $(echo "$PATH" | tr ':' ' '); do
    if [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ]; then
      version=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
      [ "$version" -ge 13 ] && PATH="$PATH:/usr/sbin" command -v pgbouncer >/dev/null && return 0
    fi
  done
  return 1
}

if ! has_programs; then
  if can_install; then
    echo "PostgreSQL or PgBouncer is missing; installing them with apt-get." >&2
    # Only the programs: no server that starts by itself.
    install_packages postgresql-common
    as_root sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    install_packages postgresql pgbouncer
    if command -v systemctl >/dev/null; then as_root systemctl disable --now pgbouncer >/dev/null 2>&1 || true; fi
  fi
  if ! has_programs; then
    echo "The tests need PostgreSQL 13 or later and PgBouncer: they start servers of their own." >&2
    echo "Install them, on Debian 12 with: sudo apt-get update && sudo apt-get install -y postgresql pgbouncer" >&2
    exit 1
  fi
fi
