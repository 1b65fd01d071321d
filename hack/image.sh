#!/usr/bin/env bash
# image.sh [NAME]: builds the container image with docker, podman or buildah, whichever works here, and says how large it is.
#
#   NAME         default: webhook-operator:VERSION
#   ENGINE       docker, podman or buildah; default: the first that works
#   BUILD_ARGS   more arguments for the build, for example --build-arg RUNTIME_IMAGE=… or --platform linux/arm64
#   NUGET_CONFIG a NuGet.Config for the restore within the build; default: the user's own, if there is one
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' Directory.Build.props)
name=${1:-webhook-operator:$version}
read -r -a more <<<"${BUILD_ARGS:-}"

engine=${ENGINE:-}
[ -n "$engine" ] || for candidate in docker podman buildah; do
  # docker's client is often there without an engine behind it.
  if command -v $candidate >/dev/null && $candidate info >/dev/null 2>&1; then
    engine=$candidate
    break
  fi
done
if [ -z "$engine" ]; then
  echo "No docker, podman or buildah works here. On Debian: sudo apt-get update && sudo apt-get install -y buildah" >&2
  exit 1
fi

config=${NUGET_CONFIG:-$HOME/.nuget/NuGet/NuGet.Config}
[ ! -e "$config" ] || more+=(--secret "id=nuget,src=$config")

echo "Building $name with $engine"
DOCKER_BUILDKIT=1 $engine build --tag "$name" --label "org.opencontainers.image.version=$version" \
  --label "org.opencontainers.image.title=webhook-operator" --label "org.opencontainers.image.licenses=Apache-2.0" "${more[@]}" .

case $engine in
  buildah) echo "$name: $(buildah images --format '{{.Size}}' "$name")" ;;
  *) echo "$name: $(($($engine image inspect --format '{{.Size}}' "$name") / 1000000)) MB" ;;
esac
