#!/usr/bin/env bash
# The chart and the image on a real cluster of one node: `make e2e`.
#
# Builds the image, brings a cluster up, and on it: installs, runs helm test, publishes from a pod with a ServiceAccount's
# token while operator pods are deleted and killed and the chart is upgraded, rolls a Secret, drains, and uninstalls. Every
# id that was accepted must have come to the receiver, verified. Once with each store that the program has.
#
#   CLUSTER_SH   a script that makes a cluster of this machine: up|load|run|down DIR …; default: where there is no kind,
#                ../shared/control-plane/cluster.sh. Beside it: unpack.sh OUT NAME, for the programs, unless CLUSTER_BIN has them
#   KEEP=1       leave the cluster up, to look around
#   STORES       default: sqlite postgres
#   EVENTS       events of each load; default: 2000
#   CHECK=1      fail where a figure is missed: on a machine that has other things to do, that says little
#
# Exit code 77: no cluster can be made on this machine; the message says what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$root/.work/e2e
events=${EVENTS:-2000}
mkdir -p "$work"

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
die() { printf 'e2e: %s\n' "$*" >&2; exit 1; }
cannot() { printf 'e2e: not run: %s\n' "$*" >&2; exit 77; }

# shellcheck source=hack/e2e/cluster.bash
source hack/e2e/cluster.bash
# shellcheck source=hack/e2e/scenario.bash
source hack/e2e/scenario.bash

PATH=$(hack/need-kubectl.sh):$PATH
export PATH
choose_cluster
build_image
trap finish EXIT
cluster_up

figures=()
for store in ${STORES:-sqlite postgres}; do
  scenario "$store"
done

echo
printf '%-52s %12s %12s\n' figure measured 'at most'
missed=0
for figure in "${figures[@]}"; do
  IFS='|' read -r what value limit unit <<<"$figure"
  mark=
  [ -n "$value" ] && awk -v a="$value" -v b="$limit" 'BEGIN {exit !(a <= b)}' || { mark='  MISSED'; missed=1; }
  printf '%-52s %9s %-3s %8s %-3s%s\n' "$what" "$value" "$unit" "$limit" "$unit" "$mark"
done
[ "$missed" = 0 ] || [ -z "${CHECK:-}" ] || die "a figure was missed"
say "Nothing was lost."
