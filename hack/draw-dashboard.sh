#!/usr/bin/env bash
# Draws docs/images/dashboard.svg: runs the operator with receivers good and bad for some minutes under a real
# Prometheus, and draws what the dashboard's queries give. Needs `make build` and Node.js.
#   hack/draw-dashboard.sh [MINUTES]
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-20}
prometheus=$(hack/need-program.sh prometheus prometheus)

work=$(mktemp -d)
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || true; wait; rm -rf "$work"' EXIT
mkdir "$work/manifests"

subscription() { # NAMESPACE NAME URL [MORE]
  cat <<END
---
apiVersion: webhookoperator.io/v1alpha1
kind: WebhookSubscription
metadata: { name: $2, namespace: $1 }
spec:
  endpoint: { url: "$3" }
  ${4:-}
END
}
receivers=http://127.0.0.1:19911
{
  subscription acme orders $receivers/orders
  subscription acme shipping $receivers/shipping
  subscription acme invoices $receivers/invoices 'delivery: { retry: { schedule: [5s, 20s, 1m, 5m] }, circuitBreaker: { maxBreakDuration: 1m } }'
  subscription acme archive $receivers/orders 'suspend: true'
  subscription beta crm $receivers/crm 'delivery: { retry: { schedule: [5s, 30s, 2m] } }'
  subscription beta legacy http://127.0.0.1:19912/dead
  subscription beta partner $receivers/unknown 'delivery: { retry: { schedule: [5s, 10s] }, circuitBreaker: { minimumThroughput: 10000 } }'
  subscription beta gone $receivers/gone
  subscription beta unsigned $receivers/orders 'signing: { secretRef: { name: not-there } }'
} > "$work/manifests/subscriptions.yaml"
cat > "$work/prometheus.yaml" <<END
global: { scrape_interval: 5s, evaluation_interval: 5s }
rule_files: [ $PWD/charts/webhook-operator/files/alerts.yaml ]
scrape_configs:
  - { job_name: webhook-operator, honor_labels: true, static_configs: [ { targets: [ "127.0.0.1:19090" ] } ] }
END

bin/webhook-operator run --manifests "$work/manifests" --store "sqlite:$work/webhooks.db" --allow-http --allow-cidr 127.0.0.0/8 \
  --listen http://127.0.0.1:19080 --metrics http://127.0.0.1:19090 2> "$work/operator.log" & jobs+=($!)
"$prometheus" --config.file="$work/prometheus.yaml" --storage.tsdb.path="$work/data" --web.listen-address=127.0.0.1:19091 \
  --log.level=error & jobs+=($!)
until curl -sf -o /dev/null http://127.0.0.1:19090/readyz && curl -sf -o /dev/null http://127.0.0.1:19091/-/ready; do sleep 0.2; done
while sleep 20; do # Changes, for the reconciler to have something to do.
  subscription acme changing $receivers/orders "description: Changed at $(date)" > "$work/manifests/changing.yaml"
done & jobs+=($!)
node hack/dashboard-scenario.mjs http://127.0.0.1:19080 19911 "$minutes" & jobs+=($!)
wait $!
mkdir -p docs/images
node hack/draw-dashboard.mjs http://127.0.0.1:19091 docs/images/dashboard.svg "$minutes"
echo docs/images/dashboard.svg
