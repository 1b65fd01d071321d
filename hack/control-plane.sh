#!/usr/bin/env bash
# control-plane.sh: sees to the programs of a real Kubernetes API server, for the tests, and prints where
# they are, one a line: NAME VERSION PATH. API servers come oldest first.
#
#   kube-apiserver, etcd    from $KUBEBUILDER_ASSETS, if set;
#                           else unpacked from the archives in $CONTROL_PLANE_ARCHIVES, or in
#                           ../shared/control-plane beside the checkout;
#                           else built from Debian's packages, which takes some minutes, once
#   kustomize-controller    Flux's, from the archives only
#
# What is unpacked or built is kept in ${XDG_CACHE_HOME:-~/.cache}/webhook-operator/control-plane.
# Where a program cannot be had, its line reads: NAME unavailable REASON. That is no error.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/webhook-operator/control-plane

archives() { # the folder of archives, if there is one
  local folder main
  if [[ -n ${CONTROL_PLANE_ARCHIVES:-} ]]; then
    [[ -d $CONTROL_PLANE_ARCHIVES ]] || { echo "CONTROL_PLANE_ARCHIVES=$CONTROL_PLANE_ARCHIVES is no folder" >&2; exit 1; }
    echo "$CONTROL_PLANE_ARCHIVES"
    return
  fi
  # A git worktree may lie elsewhere than the checkout that it belongs to.
  main=$(git -C "$root" rev-parse --path-format=absolute --git-common-dir 2>/dev/null || echo "$root/.git")
  for folder in "$root/../shared/control-plane" "$main/../../shared/control-plane"; do
    if compgen -G "$folder/kube-apiserver-*.tar.xz" >/dev/null; then
      (cd "$folder" && pwd)
      return
    fi
  done
}

unpack() { # unpack ARCHIVE [MEMBER…]: its folder in the cache, filled once
  local archive=$1 to size; shift
  to=$cache/$(basename "$archive" .tar.xz) size=$(stat -c %s "$archive")
  if [[ $(cat "$to/.complete" 2>/dev/null) != "$size" ]]; then
    echo "Unpacking $(basename "$archive")" >&2
    rm -rf "$to"
    mkdir -p "$to"
    xz -dc "$archive" | tar -C "$to" -xf - "$@"
    echo "$size" >"$to/.complete"
  fi
  echo "$to"
}

version() { # version PROGRAM: as the program itself tells it, without the v
  "$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1
}

servers() {
  local from archive folder built=$cache/debian-v1.20
  if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
    for program in kube-apiserver etcd; do
      [[ -x $KUBEBUILDER_ASSETS/$program ]] || { echo "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS has no $program" >&2; exit 1; }
      echo "$program $(version "$KUBEBUILDER_ASSETS/$program") $KUBEBUILDER_ASSETS/$program"
    done
    return
  fi
  from=$(archives)
  if [[ -n $from ]]; then
    command -v xz >/dev/null || { echo "kube-apiserver unavailable xz is not installed (Debian: apt-get install xz-utils)"; return; }
    for archive in $(printf '%s\n' "$from"/kube-apiserver-*.tar.xz | sort -V); do
      folder=$(unpack "$archive")
      echo "kube-apiserver ${folder##*-} $folder/kube-apiserver"
    done
    for archive in "$from"/kubernetes-*.tar.xz; do
      folder=$(unpack "$archive" ./etcd)
      echo "etcd $(version "$folder/etcd") $folder/etcd"
      break
    done
    for archive in "$from"/flux-kustomize-controller-*.tar.xz; do
      [[ -e $archive ]] || break
      folder=$(unpack "$archive")
      echo "kustomize-controller ${folder##*-} $folder/kustomize-controller"
      return
    done
    echo "kustomize-controller unavailable there is no archive of it in $from"
    return
  fi
  if "$root/hack/build-control-plane-from-debian.sh" "$built" >&2; then
    echo "kube-apiserver $(version "$built/kube-apiserver") $built/kube-apiserver"
    echo "etcd $(version "$built/etcd") $built/etcd"
  else
    echo "kube-apiserver unavailable it could not be built from Debian's packages (hack/build-control-plane-from-debian.sh tells why); KUBEBUILDER_ASSETS may name a folder that holds kube-apiserver and etcd"
  fi
  echo "kustomize-controller unavailable there is no ../shared/control-plane beside the checkout, and CONTROL_PLANE_ARCHIVES is not set"
}

mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
servers
