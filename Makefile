# Everything from a fresh checkout: make run, make test. Needs the .NET 10 SDK; make test also needs Node.js,
# and a real Kubernetes API server, which hack/control-plane.sh sees to.

# So that bin/webhook-operator starts wherever the SDK is installed.
export DOTNET_ROOT ?= $(patsubst %/,%,$(dir $(realpath $(shell command -v dotnet))))
export DOTNET_CLI_TELEMETRY_OPTOUT = 1
export DOTNET_NOLOGO = 1

QUIET = --nologo --verbosity quiet
NODE_PROJECTS = $(dir $(shell find tests bench -name package.json -not -path '*/node_modules/*' 2>/dev/null))

.PHONY: run build test bench docs crds image e2e lint clean sdk node postgres tools control-plane

# The demo: the operator, receivers good and bad, and sample events in one process; about 20 seconds.
run: build
	@bin/webhook-operator demo --exit

build: sdk
	@dotnet publish operator --configuration Release --output bin $(QUIET)

test: sdk node postgres tools control-plane
	@dotnet build tests --configuration Release $(QUIET)
	@dotnet test --project tests --configuration Release --no-build --no-progress \
		--results-directory TestResults --report-xunit-trx --report-xunit-trx-filename tests.trx

bench: sdk tools control-plane
	@dotnet run --project bench --configuration Release

# Writes what the pages say of the code anew, from the code; tests hold them to it.
docs: sdk
	@dotnet build tests --configuration Release $(QUIET)
	@UPDATE_GOLDEN=1 dotnet test --project tests --configuration Release --no-build --no-progress -- --filter-class '*PageTests'

# The chart has a copy of the CRDs; a test holds them equal.
crds:
	@cp config/crds/*.yaml charts/webhook-operator/files/crds/

# The container image, with docker, podman or buildah.
image:
	@hack/image.sh

# The chart and the image on a real cluster of one node; some minutes. See hack/e2e.sh.
e2e: sdk
	@hack/e2e.sh

lint: sdk
	@dotnet format --verify-no-changes

clean:
	@rm -rf bin TestResults operator/bin operator/obj tests/bin tests/obj bench/bin bench/obj $(addsuffix node_modules,$(NODE_PROJECTS))

sdk:
	@hack/need-dotnet.sh

# Receivers in the tests run libraries of others, from npm.
node:
	@hack/need-node.sh $(NODE_PROJECTS)

# The tests start servers of their own.
postgres:
	@hack/need-postgres.sh

# Programs of others: helm and kubectl, for the tests of the chart and of the CRDs; Prometheus, promtool and Lua, for those
# of metrics, alerts, dashboard and health checks.
tools:
	@hack/need-kubectl.sh >/dev/null
	@hack/need-program.sh prometheus prometheus >/dev/null
	@hack/need-program.sh lua5.4 lua5.4 libreadline8 libtinfo6 >/dev/null
	@hack/need-program.sh openssl openssl libssl3 >/dev/null
	@hack/need-program.sh python3 python3-minimal python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libexpat1 libssl3 libffi8 >/dev/null

# A real Kubernetes API server and etcd, kept in a cache outside of the tree.
control-plane:
	@hack/control-plane.sh >/dev/null
