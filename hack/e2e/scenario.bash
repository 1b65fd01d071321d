# What `make e2e` does on the cluster, once for each store.
# Uses: k, h, volume, say, die, image, events, work; adds to figures.

operator=app.kubernetes.io/component=operator

figure() { figures+=("$1|$2|$3|$4"); }

until_true() { # until_true SECONDS WHAT COMMAND…
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || die "not reached: $what"
    sleep 0.5
  done
}

values() { # values STORE: as flags of helm
  echo "--set image.repository=${image%:*},image.tag=${image##*:},image.pullPolicy=Never"
  if [ "$1" = postgres ]; then
    echo "--set replicas=3,store.type=postgres,store.postgres.existingSecret=webhook-postgres"
  fi
}

scenario() {
  local store=$1
  system=hooks-$store shop=shop-$store
  say "== $store =="
  rm -f "$work/accepted-$shop.txt"
  k create namespace "$system" >/dev/null
  k label namespace "$system" pod-security.kubernetes.io/enforce=restricted >/dev/null
  k create namespace "$shop" >/dev/null
  k label namespace "$shop" pod-security.kubernetes.io/enforce=restricted >/dev/null
  if [ "$store" = sqlite ]; then
    volume "$system" data-webhook-operator-0 >/dev/null
  else
    postgres
  fi

  say "Install, and the first delivery"
  local start; start=$(date +%s.%N)
  # The CRDs that the release before has left behind are taken over.
  # shellcheck disable=SC2046
  h install webhook-operator charts/webhook-operator -n "$system" $(values "$store") --take-ownership --wait --timeout 180s >/dev/null
  h test webhook-operator -n "$system" --timeout 240s >/dev/null || die "helm test failed"
  figure "$store: chart install to first delivery" "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN {printf "%.1f", b - a}')" 60 s
  figure "$store: start to ready, the slowest pod" "$(start_to_ready)" 3 s
  [ "$store" != sqlite ] || figure "image" "$figures_image" 120 MB

  receivers
  follow
  say "Publish from a pod, with its ServiceAccount's token"
  publish steady "$events"
  published steady
  all_arrived

  say "Delete an operator pod under load"
  publish deleted "$events"
  half_way deleted
  k delete pod -n "$system" "$(one_pod)" --wait=false >/dev/null
  published deleted
  all_arrived

  say "Kill an operator pod under load"
  publish killed "$events"
  half_way killed
  k delete pod -n "$system" "$(one_pod)" --grace-period=0 --force >/dev/null 2>&1
  published killed
  all_arrived

  say "Upgrade the chart under load"
  publish upgraded "$events"
  half_way upgraded
  # shellcheck disable=SC2046
  h upgrade webhook-operator charts/webhook-operator -n "$system" $(values "$store") --set config.logLevel=warning,podAnnotations.upgraded=yes \
    --wait --timeout 240s >/dev/null
  published upgraded
  all_arrived

  say "Roll a Secret: the receiver that knows the new key only verifies from then on"
  k create secret generic signing -n "$shop" --from-literal=key="$new_key" --dry-run=client -o yaml | k replace -f - >/dev/null
  k label secret signing -n "$shop" webhookoperator.io/watch=true >/dev/null
  until_true 90 "a delivery that is signed with the new key" new_key_signs

  say "Drain the node of operator pods, and let them come back"
  local node; node=$(k get pods -n "$system" -l $operator -o jsonpath='{.items[0].spec.nodeName}')
  publish drained "$events"
  half_way drained
  # With a budget, one pod goes at a time, and none can come back to the only node: let it be for as long as the load runs.
  (k drain "$node" --pod-selector=$operator --delete-emptydir-data --timeout=20s >/dev/null 2>&1 || true)
  k uncordon "$node" >/dev/null
  published drained
  all_arrived

  say "Status tells it"
  # Its counters begin where the process that delivers does.
  publish counted "$events"
  published counted
  all_arrived
  until_true 180 "status says that all is delivered" status_is_right
  k get whsub -n "$shop"

  sleep 15
  figure "$store: memory of an idle pod (working set)" "$(idle_memory)" 120 MB

  say "Uninstall: CRDs and subscriptions stay"
  h uninstall webhook-operator -n "$system" --wait --timeout 180s >/dev/null
  k get crd webhooksubscriptions.webhookoperator.io webhooksecrets.webhookoperator.io >/dev/null || die "a CRD is gone"
  k get whsub -n "$shop" orders rolled >/dev/null || die "a subscription is gone"
  k wait -n "$system" --for=delete pod -l $operator --timeout=120s >/dev/null || die "operator pods are still there"
  kill "$follower" 2>/dev/null || true
  follower=
  k delete namespace "$system" "$shop" --wait=false >/dev/null
}

# A database for the operator, in its namespace, and the Secret that the chart is told of.
postgres() {
  local password; password=$(head -c 18 /dev/urandom | base64)
  k create secret generic webhook-postgres -n "$system" --from-literal=password="$password" \
    --from-literal=connectionString="Host=postgres;Username=postgres;Password=$password;Database=postgres" >/dev/null
  k apply -n "$system" -f - >/dev/null <<Y
apiVersion: v1
kind: Service
metadata: { name: postgres }
spec: { selector: { app: postgres }, ports: [{ port: 5432 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: postgres }
spec:
  strategy: { type: Recreate }
  selector: { matchLabels: { app: postgres } }
  template:
    metadata: { labels: { app: postgres } }
    spec:
      securityContext: { runAsNonRoot: true, runAsUser: 999, fsGroup: 999, seccompProfile: { type: RuntimeDefault } }
      automountServiceAccountToken: false
      containers:
        - name: postgres
          image: $postgres_image
          imagePullPolicy: IfNotPresent
          command: [sh, -ec]
          args:
            - |
              printf '%s' "\$PASSWORD" >/tmp/password
              initdb --pgdata=/data/db --auth=scram-sha-256 --pwfile=/tmp/password --username=postgres
              echo 'host all all all scram-sha-256' >>/data/db/pg_hba.conf
              exec postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/tmp
          env:
            - { name: PASSWORD, valueFrom: { secretKeyRef: { name: webhook-postgres, key: password } } }
          ports: [{ containerPort: 5432 }]
          readinessProbe: { exec: { command: [pg_isready, --host=127.0.0.1] }, periodSeconds: 1 }
          $security
          volumeMounts: [{ name: data, mountPath: /data }, { name: tmp, mountPath: /tmp }]
      volumes: [{ name: data, emptyDir: {} }, { name: tmp, emptyDir: {} }]
Y
  k rollout status deployment/postgres -n "$system" --timeout=120s >/dev/null
}

one_pod() { k get pods -n "$system" -l $operator -o jsonpath='{.items[0].metadata.name}'; }

# From the start of the container, in whole seconds, to the program's own word; the worst pod. Too long rather than too short.
start_to_ready() {
  local pod started ready worst=0
  for pod in $(k get pods -n "$system" -l $operator -o jsonpath='{.items[*].metadata.name}'); do
    started=$(k get pod -n "$system" "$pod" -o jsonpath='{.status.containerStatuses[0].state.running.startedAt}')
    ready=$(k logs -n "$system" "$pod" --timestamps | awk '/ Ready\. / && !at {at = $1} END {print at}')
    [ -n "$started" ] && [ -n "$ready" ] || return 0
    started=$(date -d "$started" +%s) ready=$(date -d "$ready" +%s.%N)
    worst=$(awk -v a="$started" -v b="$ready" -v w="$worst" 'BEGIN {d = b - a; printf "%.1f", (d > w ? d : w)}')
  done
  echo "$worst"
}

# The largest working set of the operator's containers, in MB.
idle_memory() {
  k get --raw "/api/v1/nodes/$(k get nodes -o jsonpath='{.items[0].metadata.name}')/proxy/stats/summary" | node -e '
    const pods = JSON.parse(require("fs").readFileSync(0)).pods.filter(pod => pod.podRef.namespace === process.argv[1]);
    const containers = pods.flatMap(pod => pod.containers ?? []).filter(container => container.name === "operator");
    console.log(Math.round(Math.max(...containers.map(container => container.memory.workingSetBytes)) / 1e6));' "$system"
}

key() { echo "whsec_$(head -c 32 /dev/urandom | base64)"; }

# Two receivers: `orders` knows the old key and the new one, and counts; `rolled` knows only the new one.
receivers() {
  old_key=$(key) new_key=$(key)
  k create secret generic signing -n "$shop" --from-literal=key="$old_key" >/dev/null
  k label secret signing -n "$shop" webhookoperator.io/watch=true >/dev/null
  k create secret generic receiver-keys -n "$shop" --from-literal=old="$old_key" --from-literal=new="$new_key" >/dev/null
  receiver orders '"--secret", "$(OLD)", "--secret", "$(NEW)"'
  receiver rolled '"--secret", "$(NEW)"'
  k apply -n "$shop" -f - >/dev/null <<Y
apiVersion: webhookoperator.io/v1alpha1
kind: WebhookSecret
metadata: { name: signing }
spec: { source: { secretKeyRef: { name: signing, key: key } } }
---
apiVersion: webhookoperator.io/v1alpha1
kind: WebhookSubscription
metadata: { name: orders }
spec:
  endpoint: { service: { name: orders, port: 80 } }
  events: { types: ["shop.order.*"] }
  signing: { secretRef: { name: signing } }
  delivery: { retry: { schedule: [1s, 2s, 5s, 5s, 5s, 5s, 10s, 10s, 10s, 10s] } }
---
apiVersion: webhookoperator.io/v1alpha1
kind: WebhookSubscription
metadata: { name: rolled }
spec:
  endpoint: { service: { name: rolled, port: 80 } }
  events: { types: [shop.rolled] }
  signing: { secretRef: { name: signing } }
  delivery: { retry: { schedule: [1s] } }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: shop }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: shop-publishes }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: webhook-publisher }
subjects: [{ kind: ServiceAccount, name: shop }]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: shop-reads }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: webhook-log-reader }
subjects: [{ kind: ServiceAccount, name: shop }]
Y
  k wait -n "$shop" --for=condition=Available deployment --all --timeout=90s >/dev/null
  k wait -n "$shop" --for=condition=Ready whsub --all --timeout=90s >/dev/null
}

security='securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }'
pod_security='securityContext: { runAsNonRoot: true, seccompProfile: { type: RuntimeDefault } }'

receiver() { # receiver NAME ARGUMENTS
  k apply -n "$shop" -f - >/dev/null <<Y
apiVersion: v1
kind: Service
metadata: { name: $1 }
spec: { selector: { app: $1 }, ports: [{ port: 80, targetPort: 9911 }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: $1 }
spec:
  selector: { matchLabels: { app: $1 } }
  template:
    metadata: { labels: { app: $1 } }
    spec:
      $pod_security
      automountServiceAccountToken: false
      containers:
        - name: listen
          image: $image
          imagePullPolicy: Never
          args: ["listen", "--address", "0.0.0.0", $2]
          env:
            - { name: OLD, valueFrom: { secretKeyRef: { name: receiver-keys, key: old } } }
            - { name: NEW, valueFrom: { secretKeyRef: { name: receiver-keys, key: new } } }
          readinessProbe: { tcpSocket: { port: 9911 }, periodSeconds: 1 }
          $security
Y
}

# The receiver's log goes into a file as it comes, since the node keeps only its end.
follow() {
  received=$work/received-$shop.log
  k logs -n "$shop" deployment/orders --follow >"$received" &
  follower=$!
}

send_job() { # send_job NAME FLAG…
  local name=$1; shift
  k apply -n "$shop" -f - >/dev/null <<Y
apiVersion: batch/v1
kind: Job
metadata: { name: $name }
spec:
  backoffLimit: 0
  template:
    spec:
      $pod_security
      restartPolicy: Never
      serviceAccountName: shop
      automountServiceAccountToken: false
      containers:
        - name: send
          image: $image
          imagePullPolicy: Never
          args: [send, "--server=http://webhook-operator.$system.svc:8080", --token-file=/token/token, --namespace=$shop, --source=/$name, '--data={"a":1}'$(printf ', "%s"' "$@")]
          volumeMounts: [{ name: token, mountPath: /token, readOnly: true }]
          $security
      volumes:
        - { name: token, projected: { sources: [{ serviceAccountToken: { path: token, audience: webhook-operator } }] } }
Y
}

publish() { send_job "$1" --type=shop.order.created "--count=$2" --retry=120s; }

accepted() { k logs -n "$shop" "job/$1" --tail=-1 2>/dev/null | grep -o '^evt_[a-z0-9]*' || true; }

half_way() { until_true 120 "half of the load $1" half "$1"; }

half() { ! failed "$1" && [ "$(accepted "$1" | wc -l)" -ge $((events / 2)) ]; }

published() {
  until_true 300 "the load $1 is published" ended "$1"
  accepted "$1" >"$work/accepted.txt"
  [ "$(wc -l <"$work/accepted.txt")" = "$events" ] || die "of $events events that were accepted, $(wc -l <"$work/accepted.txt") are in the log of the load $1"
  cat "$work/accepted.txt" >>"$work/accepted-$shop.txt"
}

job_is() { k get job -n "$shop" "$1" -o jsonpath='{.status.conditions[*].type}' | grep -qE "$2"; }

ended() { ! failed "$1" && job_is "$1" Complete; }

# Never true: there is nothing to wait for any more.
failed() {
  job_is "$1" Failed || return 1
  k logs -n "$shop" "job/$1" --tail=3 >&2
  die "publishing $1 failed"
}

# Every id that was accepted has come, and its signature was verified.
all_arrived() {
  sort -u "$work/accepted-$shop.txt" >"$work/accepted.sorted"
  until_true 180 "every id that was accepted has come to the receiver" none_missing
  say "  $(wc -l <"$work/accepted.sorted") accepted, all verified by the receiver; $(grep -c ' verified →' "$received" || true) requests"
  ! grep -q 'NOT VERIFIED' "$received" || die "the receiver could not verify $(grep -c 'NOT VERIFIED' "$received") requests"
}

none_missing() {
  grep ' verified →' "$received" | grep -o 'evt_[a-z0-9]*' | sort -u >"$work/received.sorted"
  [ -z "$(comm -23 "$work/accepted.sorted" "$work/received.sorted" | head -n 1)" ]
}

rolls=0
new_key_signs() {
  rolls=$((rolls + 1))
  send_job "rolled-$rolls" --type=shop.rolled --retry=30s --wait=30s
  until_true 60 "the end of the event after the roll" over "rolled-$rolls"
  [ "$(k get job -n "$shop" "rolled-$rolls" -o jsonpath='{.status.succeeded}')" = 1 ]
}

over() { job_is "$1" 'Complete|Failed'; }

status_is_right() {
  local delivered pending ready
  IFS=' ' read -r delivered pending ready <<<"$(k get whsub -n "$shop" orders -o \
    jsonpath='{.status.delivery.delivered} {.status.delivery.pending} {.status.conditions[?(@.type=="Ready")].status}')"
  [ "${delivered:-0}" -ge "$events" ] && [ "${pending:-1}" = 0 ] && [ "$ready" = True ]
}
