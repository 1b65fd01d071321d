#!/bin/sh
# Sees to Node.js 18 or later with npm, and to the packages of each folder that is named.
set -eu
# shellcheck source=hack/as-root.sh
. "$(dirname "$0")/as-root.sh"

has_node() {
  command -v node >/dev/null && command -v npm >/dev/null \
    && node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 18 ? 0 : 1)'
}

if ! has_node; then
  if can_install; then
    echo "Node.js 18 or later is missing; installing it with apt-get." >&2
    install_packages nodejs npm
  fi
  if ! has_node; then
    echo "The tests need Node.js 18 or later and npm: they verify signatures with the official webhook library." >&2
    echo "Install them, on Debian 12 with: sudo apt-get update && sudo apt-get install -y nodejs npm" >&2
    exit 1
  fi
fi

for folder in "$@"; do
  # npm writes its record of what is installed last, so an older one means that packages are missing or outdated.
  record="$folder/node_modules/.package-lock.json"
  if [ ! "$record" -nt "$folder/package.json" ]; then
    echo "Installing the packages of $folder"
    if [ -e "$folder/package-lock.json" ]; then
      (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error)
    else
      (cd "$folder" && npm install --no-package-lock --no-audit --no-fund --loglevel=error)
    fi
    touch "$record"
  fi
done
