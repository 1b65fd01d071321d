#!/usr/bin/env bash
# build-control-plane-from-debian.sh OUT_DIR: leaves kube-apiserver v1.20 and etcd in OUT_DIR, for tests on a
# machine that reaches nothing but Debian's packages. The API server is compiled from Debian 12's source
# package, which takes about 7 minutes on two cores; a second call finds it in place. Nothing is installed on
# the machine, and no root is needed.
#
# What v1.20 lacks: the CEL rules of CRDs (x-kubernetes-validations is dropped), field validation by the
# server, ValidatingAdmissionPolicy.
set -euo pipefail

out=$(mkdir -p "${1:?usage: build-control-plane-from-debian.sh OUT_DIR}" && cd "$1" && pwd)
[[ -x $out/kube-apiserver && -x $out/etcd ]] && exit 0

for program in apt-get dpkg-deb perl xz; do
  command -v "$program" >/dev/null || { echo "Building kube-apiserver needs $program, as on Debian 12." >&2; exit 1; }
done

work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT

# 1. An apt of its own: the machine's mirror, but Debian 12 alone, with sources.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
  awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
[[ -n $mirror ]] || { echo "There is no mirror of Debian 12 (bookworm) in the apt sources of this machine." >&2; exit 1; }
mkdir -p "$work"/apt/{lists/partial,cache/archives/partial} "$work/packages" "$work/root"
for kind in deb deb-src; do
  echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main"
done >"$work/apt/sources.list"
apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User=root "$@"
}
apt update

# 2. The compiler, etcd, the tools that unpack a source package, and a library, unpacked but not installed.
(cd "$work/packages" && apt download golang-1.19-go golang-1.19-src etcd-server \
  dpkg-dev libdpkg-perl patch golang-github-modern-go-reflect2-dev)
for package in "$work"/packages/*.deb; do
  dpkg-deb -x "$package" "$work/root"
done
export PATH=$work/root/usr/lib/go-1.19/bin:$work/root/usr/bin:$PATH
export PERL5LIB=$work/root/usr/share/perl5 DPKG_DATADIR=$work/root/usr/share/dpkg

# 3. The source.
src=$work/go/src/k8s.io/kubernetes
mkdir -p "$work/go/src/k8s.io"
(cd "$work" && apt --download-only source kubernetes && dpkg-source --no-check -x kubernetes_*.dsc "$src" >/dev/null)

export GOROOT=$work/root/usr/lib/go-1.19 GOPATH=$work/go GOCACHE=$work/cache GO111MODULE=off GOFLAGS= CGO_ENABLED=0
cd "$src"

# Its own copy of reflect2 is older than Go 1.18 and crashes with this compiler.
rm -rf vendor/github.com/modern-go/reflect2
cp -rL "$work/root/usr/share/gocode/src/github.com/modern-go/reflect2" vendor/github.com/modern-go/reflect2

# 4. The OpenAPI definitions, which are made at build time.
echo "Compiling kube-apiserver from Debian's source package; this takes some minutes" >&2
go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
packages=$(grep -rl --include='*.go' '+k8s:openapi-gen=' staging/src/k8s.io pkg plugin cmd |
  grep -vE '_test\.go|/testdata/|zz_generated|sample-|/kube-openapi/|code-generator' |
  xargs -n1 dirname | sort -u |
  sed -e 's#^staging/src/#k8s.io/kubernetes/vendor/#' -e 's#^\(pkg\|plugin\|cmd\)/#k8s.io/kubernetes/\1/#' |
  paste -sd,)
"$work/openapi-gen" --logtostderr -i "$packages" -O zz_generated.openapi \
  -p k8s.io/kubernetes/pkg/generated/openapi -h hack/boilerplate/boilerplate.generatego.txt \
  -r "$work/violations" --output-base "$work/generated" 2>"$work/openapi-gen.log" ||
  { cat "$work/openapi-gen.log" >&2; exit 1; }
sed 's#k8s.io/kubernetes/vendor/##g' \
  "$work/generated/k8s.io/kubernetes/pkg/generated/openapi/zz_generated.openapi.go" \
  >pkg/generated/openapi/zz_generated.openapi.go

# 5. The API server.
version=k8s.io/kubernetes/vendor/k8s.io/component-base/version
go build -trimpath -o "$work/kube-apiserver" \
  -ldflags "-s -w -X $version.gitVersion=v1.20.2 -X $version.gitMajor=1 -X $version.gitMinor=20" \
  ./cmd/kube-apiserver
cp "$work/root/usr/bin/etcd" "$out/etcd"
mv "$work/kube-apiserver" "$out/kube-apiserver"
