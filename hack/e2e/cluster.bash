# The cluster that `make e2e` runs on: kind where it is, else a node made of this machine's own processes.
# Gives: choose_cluster, build_image, cluster_up, finish, k (kubectl), h (helm), volume NAMESPACE CLAIM.

choose_cluster() {
  if command -v kind >/dev/null && docker info >/dev/null 2>&1; then
    provider=kind
    return
  fi
  provider=node
  local main
  main=$(git rev-parse --path-format=absolute --git-common-dir 2>/dev/null || echo "$root/.git")
  for script in "${CLUSTER_SH:-}" "$root/../shared/control-plane/cluster.sh" "$main/../../shared/control-plane/cluster.sh"; do
    [ ! -x "$script" ] || { cluster_sh=$(realpath "$script"); break; }
  done
  [ -n "${cluster_sh:-}" ] || cannot "no cluster can be made here: install kind and Docker, or let CLUSTER_SH name a script that makes one"
  [ "$(id -u)" = 0 ] || cannot "root is needed to make a node of this machine; or install kind and Docker"
  local missing=() needed=(containerd:containerd runc:runc conntrack:conntrack iptables:iptables ip:iproute2 openssl:openssl
    busybox:busybox-static xz:xz-utils curl:curl)
  for program in "${needed[@]}"; do
    command -v "${program%%:*}" >/dev/null || missing+=("${program#*:}")
  done
  [ -x /usr/lib/cni/bridge ] || missing+=(containernetworking-plugins)
  if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || cannot "these programs are missing: ${missing[*]}"
    say "Installing ${missing[*]}"
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
      cannot "could not install ${missing[*]}"
  fi
  if [ -z "${CLUSTER_BIN:-}" ]; then
    "$(dirname "$cluster_sh")/unpack.sh" "$work/kubernetes" kubernetes- >/dev/null || cannot "there are no programs of Kubernetes"
    CLUSTER_BIN=$(find "$work/kubernetes" -maxdepth 1 -name 'kubernetes-*' | sort -V | tail -n 1)
    export CLUSTER_BIN
  fi
}

build_image() {
  image=localhost/webhook-operator:e2e
  archive=$work/webhook-operator.tar
  if [ $provider = kind ]; then
    hack/image.sh $image
    docker save --output "$archive" $image
    postgres_image=postgres:15
  else
    hack/e2e-images.sh "$work"
    postgres_image=localhost/postgres:15
  fi
  figures_image=$(($(stat -c %s "$archive") / 1000000))
}

cluster_up() {
  if [ $provider = kind ]; then
    cluster=webhook-operator-e2e
    export KUBECONFIG=$work/kubeconfig
    kind create cluster --name $cluster --wait 120s || cannot "kind could not make a cluster"
  else
    # Short: unix sockets have paths of 108 characters at most.
    cluster=$(mktemp -d /tmp/wo-e2e.XXXXXX)
    "$cluster_sh" up "$cluster" || cannot "the cluster did not come up; $cluster_sh said why"
  fi
  cluster_load "$archive"
  [ $provider = kind ] || cluster_load "$work/postgres.tar"
}

cluster_load() {
  if [ $provider = kind ]; then kind load image-archive --name $cluster "$1"; else "$cluster_sh" load "$cluster" "$1"; fi
}

k() { if [ $provider = kind ]; then kubectl "$@"; else "$cluster_sh" run "$cluster" kubectl "$@"; fi; }

h() { if [ $provider = kind ]; then helm "$@"; else "$cluster_sh" run "$cluster" helm "$@"; fi; }

# volume NAMESPACE CLAIM: a volume for a claim, where the cluster has no class that makes them.
volume() {
  [ $provider = node ] || return 0
  local folder=$cluster/volumes/$1-$2
  mkdir -p "$folder"
  k apply -f - <<Y
apiVersion: v1
kind: PersistentVolume
metadata: { name: $1-$2 }
spec:
  capacity: { storage: 10Gi }
  accessModes: [ReadWriteOnce]
  claimRef: { namespace: $1, name: $2 }
  local: { path: $folder }
  nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: kubernetes.io/hostname, operator: Exists }] }] } }
Y
}

finish() {
  local code=$?
  set +e # What fails here must not become the exit code.
  [ -z "${follower:-}" ] || kill "$follower" 2>/dev/null || true
  if [ $code != 0 ] && [ -n "${system:-}" ]; then
    k get pods,whsub -A -o wide >&2 || true
    k logs -n "$system" -l app.kubernetes.io/component=operator --tail 20 --prefix >&2 || true
  fi
  [ -n "${cluster:-}" ] || return 0
  if [ -n "${KEEP:-}" ]; then
    say "The cluster stays: $([ $provider = kind ] && echo "kind $cluster" || echo "$cluster_sh run $cluster kubectl …")"
  elif [ $provider = kind ]; then
    kind delete cluster --name "$cluster"
  else
    "$cluster_sh" down "$cluster"
    rm -rf "$cluster"
  fi
  exit $code
}
