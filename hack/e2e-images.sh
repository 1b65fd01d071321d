#!/usr/bin/env bash
# e2e-images.sh OUT: builds the operator's image, where no registry can be reached, into OUT/webhook-operator.tar; and
# one of Debian's PostgreSQL, for the tests to have a database, into OUT/postgres.tar.
#
# The Dockerfile is built as it is; its base images are made here, from Debian's packages and this machine's .NET SDK:
#   localhost/dotnet-sdk    Debian with the SDK
#   localhost/runtime-deps  what the published chiseled image holds: a C library, OpenSSL, certificates and time zones,
#                           no shell, user 1654
# Needs root, and Debian's buildah and debootstrap, which are installed if they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:?usage: hack/e2e-images.sh OUT}")
mkdir -p "$out"

[ "$(id -u)" = 0 ] || { echo "hack/e2e-images.sh: root is needed to make base images" >&2; exit 1; }
missing=()
for package in buildah debootstrap; do
  command -v $package >/dev/null || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "hack/e2e-images.sh: ${missing[*]} must be installed first" >&2; exit 1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# Images of our own, apart from the machine's.
export BUILDAH_ISOLATION=chroot
export CONTAINERS_STORAGE_CONF=$out/storage.conf
cat >"$CONTAINERS_STORAGE_CONF" <<C
[storage]
driver = "overlay"
graphroot = "$out/images"
runroot = "$out/run"
C

exists() { buildah inspect --type image "localhost/$1" >/dev/null 2>&1; }

# from_root NAME FOLDER CONFIG…: an image of one layer
from_root() {
  local name=$1 root=$2 container; shift 2
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$root" / >/dev/null
  [ $# -eq 0 ] || buildah config "$@" "$container"
  buildah commit --quiet --rm "$container" "localhost/$name" >/dev/null
}

debian=$out/debian
if [ ! -e "$debian/.complete" ]; then
  echo "Debian's base system, with debootstrap"
  rm -rf "$debian"
  debootstrap --variant=minbase --include=ca-certificates,libssl3,zlib1g,libstdc++6,libgcc-s1,tzdata bookworm "$debian" >"$out/debootstrap.log" \
    || { tail -n 20 "$out/debootstrap.log" >&2; exit 1; }
  rm -rf "$debian"/var/cache/apt/archives/*.deb "$debian"/var/lib/apt/lists/*
  # Where this machine has certificates of its own, a restore within the build needs them too.
  cp /etc/ssl/certs/ca-certificates.crt "$debian/etc/ssl/certs/ca-certificates.crt"
  touch "$debian/.complete"
fi

if ! exists runtime-deps; then
  echo "localhost/runtime-deps"
  root=$(mktemp -d "$out/root.XXXXXX")
  libraries=usr/lib/$(uname -m)-linux-gnu
  mkdir -p "$root"/{etc/ssl/certs,home/app,tmp,"$libraries",usr/share,usr/bin}
  for package in libc6 libgcc-s1 libstdc++6 libssl3 zlib1g; do
    chroot "$debian" dpkg-query -L "$package" | sed 's:^/lib:/usr/lib:' | grep -E '/lib(64)?/.*\.so[.0-9]*$' | grep -v gconv | sort -u
  done | while read -r file; do
    [ ! -f "$debian$file" ] || { mkdir -p "$root$(dirname "$file")"; cp -a "$debian$file" "$root$file"; }
  done
  ln -s usr/lib "$root/lib"
  ln -s usr/lib64 "$root/lib64"
  cp -a "$debian/usr/lib64" "$root/usr/" 2>/dev/null || true
  cp -a "$debian/usr/share/zoneinfo" "$root/usr/share/"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  echo 'app:x:1654:1654::/home/app:/bin/false' >"$root/etc/passwd"
  echo 'app:x:1654:' >"$root/etc/group"
  chmod 1777 "$root/tmp"
  chown -R 1654:1654 "$root/home/app"
  from_root runtime-deps "$root" --user 1654 --env APP_UID=1654 --env DOTNET_RUNNING_IN_CONTAINER=true
  rm -rf "$root"
fi

if ! exists dotnet-sdk; then
  echo "localhost/dotnet-sdk"
  dotnet=$(dirname "$(realpath "$(command -v dotnet)")")
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$debian" / >/dev/null
  buildah copy --quiet "$container" "$dotnet" /usr/share/dotnet >/dev/null
  buildah run "$container" ln -s /usr/share/dotnet/dotnet /usr/bin/dotnet
  buildah config --env DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 --env NUGET_CERT_REVOCATION_MODE="${NUGET_CERT_REVOCATION_MODE:-online}" "$container"
  buildah commit --quiet --rm "$container" localhost/dotnet-sdk >/dev/null
fi

archive() { # archive NAME FILE: for a cluster to load
  rm -f "$2"
  buildah push --quiet "localhost/$1" "docker-archive:$2:localhost/$1" >/dev/null
}

if ! exists postgres:15; then
  echo "localhost/postgres:15"
  container=$(buildah from scratch)
  buildah copy --quiet "$container" "$debian" / >/dev/null
  # The user id is that of the published image.
  buildah run "$container" sh -c 'useradd --system --uid 999 --home-dir /var/lib/postgresql postgres && apt-get update -qq \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15 && apt-get clean' >"$out/postgres.log" 2>&1 \
    || { tail -n 20 "$out/postgres.log" >&2; exit 1; }
  buildah config --user 999 --env PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin "$container"
  buildah commit --quiet --rm "$container" localhost/postgres:15 >/dev/null
  archive postgres:15 "$out/postgres.tar"
fi

# Packages that this machine has already are not fetched again.
packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
mkdir -p "$packages"
BUILD_ARGS="--build-arg SDK_IMAGE=localhost/dotnet-sdk --build-arg RUNTIME_IMAGE=localhost/runtime-deps --volume $packages:/root/.nuget/packages ${BUILD_ARGS:-}" \
  ENGINE=buildah hack/image.sh localhost/webhook-operator:e2e
archive webhook-operator:e2e "$out/webhook-operator.tar"
