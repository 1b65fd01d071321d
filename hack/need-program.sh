#!/usr/bin/env bash
# Prints the path of a program: the one on the PATH, or else that of Debian's packages, unpacked beside the checkout
# without root: need-program.sh PROGRAM PACKAGE…
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
shift

if command -v "$program"; then
  exit 0
fi
root=$PWD/.work/debian
if [ -x "$root/bin/$program" ]; then
  echo "$root/bin/$program"
  exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  echo "The tests need $program, and this is no Debian to fetch it from; install it so that it is on the PATH." >&2
  exit 1
fi

echo "Fetching $* from Debian" >&2
mkdir -p "$root/bin"
fresh=$(mktemp -d "$root/.fresh.XXXXXX")
trap 'rm -rf "$fresh"' EXIT
user=$(id -un)
download() { (cd "$fresh" && apt-get -qq -o APT::Sandbox::User="$user" "$@" download "${packages[@]}"); }
packages=("$@")
if ! download 2>/dev/null; then
  # No lists of packages here, or outdated ones, and perhaps no right to renew them: lists of our own then.
  mkdir -p "$fresh/lists/partial" "$fresh/cache/partial"
  own=(-o Dir::State::Lists="$fresh/lists" -o Dir::Cache="$fresh/cache" -o Debug::NoLocking=true)
  apt-get -qq -o APT::Sandbox::User="$user" "${own[@]}" update >&2
  download "${own[@]}" >&2
fi
for package in "$fresh"/*.deb; do
  dpkg-deb -x "$package" "$fresh/tree"
done
if [ ! -x "$fresh/tree/usr/bin/$program" ]; then
  echo "The packages $* hold no program $program." >&2
  exit 1
fi
# Linked last and by moves, so that a test that runs meanwhile never sees half a program.
tree=$root/$program.$$
mv "$fresh/tree" "$tree"
libraries=$tree/usr/lib/$(uname -m)-linux-gnu:$tree/lib/$(uname -m)-linux-gnu
for found in "$tree"/usr/bin/*; do
  printf '#!/bin/sh\nLD_LIBRARY_PATH="%s" exec "%s" "$@"\n' "$libraries" "$found" > "$fresh/start"
  chmod +x "$fresh/start"
  mv "$fresh/start" "$root/bin/${found##*/}"
done
echo "$root/bin/$program"
