#!/usr/bin/env bash
# What a customer sees of the chart and the image on a real node, step by step:  up.sh story.sh
# Two seats, two holders: a pod that stays on the node while it is drained, and another pod that is evicted and comes back. All the
# time a witness reads who holds which seat.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
[[ -n ${KUBECONFIG:-} && -n ${STATE:-} ]] || { echo "story.sh runs on the node: up.sh story.sh" >&2; exit 2; }
target=$(cargo metadata --locked --no-deps --format-version 1 --manifest-path "$root/Cargo.toml" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
image=$target/image/seatkeeper.tar
seatkeeper=$target/$(uname -m)-unknown-linux-musl/shipped/seatkeeper
chart=$root/charts/seatkeeper example=$root/examples/innoacd
folder=$STATE/machine/story
mkdir -p "$folder"
cd "$folder"

say() { printf '[%3d s] %s\n' "$SECONDS" "$*"; }
fail() {
  say "FAILED: $*" >&2
  touch failed
  {
    kubectl get pods --all-namespaces --output wide || true
    kubectl get events --all-namespaces --sort-by=.lastTimestamp | tail -n 15 || true
    # But for the lines about the witness.
    kubectl --namespace seatkeeper logs --selector app.kubernetes.io/name=seatkeeper --tail=300 --prefix | grep -v 'see holders' || true
    kubectl --namespace innoacd logs --selector seats=innoacd --tail=5 --prefix || true
  } >&2
  exit 1
}
# Most commands that fail say themselves why.
trap 'status=$?; ((status == 0)) || [[ -e failed ]] || fail "see above"' EXIT
await() { # seconds, what, command...: until the command succeeds
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > last 2>&1; do
    ((SECONDS < end)) || fail "not so in time: $what. Last seen: $(< last)"
    sleep 1
  done
}

# --- what is asked again and again
operators() { kubectl --namespace seatkeeper get pods --selector app.kubernetes.io/name=seatkeeper "$@"; }
names() { operators --output 'jsonpath={.items[*].metadata.name}'; }
leads() { # the Lease names a replica that is there and Ready, and was renewed within 15 s
  local holder renewed
  holder=$(kubectl --namespace seatkeeper get lease seatkeeper --output 'jsonpath={.spec.holderIdentity}')
  renewed=$(kubectl --namespace seatkeeper get lease seatkeeper --output 'jsonpath={.spec.renewTime}')
  [[ " $(names) " == *" $holder "* ]] || { echo "the Lease names '$holder', and the replicas are $(names)"; return 1; }
  (($(date +%s) - $(date --date="$renewed" +%s) <= 15)) || { echo "the Lease was last renewed at $renewed"; return 1; }
  kubectl --namespace seatkeeper wait "pod/$holder" --for=condition=Ready --timeout=1s > /dev/null || return 1
  echo "$holder"
}
running() { # replicas: exactly so many, all Ready
  local ready
  ready=$(operators --output 'jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}')
  [[ $(grep -c . <<< "$ready") == "$1" && $(grep -c True <<< "$ready") == "$1" ]] || { operators; return 1; }
}
in_use() { # seats, as the License shows them
  local shown
  shown=$(kubectl --namespace innoacd get licenses.seatkeeper.dev innoacd --output 'jsonpath={.status.pools[0].inUse}/{.status.pools[0].limit}')
  [[ $shown == "$1/2" ]] || { echo "status.pools shows $shown"; return 1; }
}
listed() {
  curl --silent --show-error --fail-with-body --max-time 5 --cacert ca.crt --resolve "seatkeeper.seatkeeper.svc:8081:$service" \
    --header "Authorization: Bearer $token" 'https://seatkeeper.seatkeeper.svc:8081/v1/seats?namespace=innoacd&license=innoacd'
}
seat_of() { # user: slot, session and start of the seat
  listed > list.json || { cat list.json; return 1; }
  python3 - "$1" <<'P'
import json, sys
held = [h for h in json.load(open("list.json"))["holders"] if h["user"] == sys.argv[1]]
if len(held) != 1:
    sys.exit(f"{sys.argv[1]} holds {len(held)} seats")
print("slot {slot}, session {session}, since {since}".format(**held[0]))
P
}
same_seat() { # user, seat
  local now
  now=$(seat_of "$1") || { echo "$now"; return 1; }
  [[ $now == "$2" ]] || { echo "$1 held $2, and now $now"; return 1; }
}
# A pod whose command is `hold`. Its program is the operator's image, and what it runs is a program that only waits.
pod() { # user, more arguments of hold
  cat <<Y
    spec:
      serviceAccountName: agents
      terminationGracePeriodSeconds: 20
      containers:
      - name: program
        image: $name
        args: [hold, --license, innoacd, --user, $1, ${2:+"$2", }"--", /waits/pause]
        env: [{name: SEATKEEPER_SERVER, value: "https://seatkeeper.seatkeeper.svc:8081"}]
        volumeMounts:
        - {name: seatkeeper, mountPath: /var/run/secrets/seatkeeper, readOnly: true}
        - {name: waits, mountPath: /waits}
      volumes:
      - name: seatkeeper
        projected:
          sources:
          - serviceAccountToken: {audience: seatkeeper, path: token}
          - configMap: {name: seatkeeper-ca}
      - {name: waits, image: {reference: "localhost/pause:1", pullPolicy: Never}}
Y
}
third_is_refused() { # when
  kubectl --namespace innoacd apply -f - > /dev/null <<Y
apiVersion: batch/v1
kind: Job
metadata: {name: third}
spec:
  backoffLimit: 0
  template:
    metadata: {labels: {seats: innoacd}}
$(pod c.petit)
      restartPolicy: Never
Y
  kubectl --namespace innoacd wait job/third --for=condition=Failed --timeout=60s > /dev/null ||
    fail "$1: a third program was not refused: $(kubectl --namespace innoacd logs job/third)"
  local status
  status=$(kubectl --namespace innoacd get pods --selector job-name=third \
    --output 'jsonpath={.items[0].status.containerStatuses[0].state.terminated.exitCode}')
  kubectl --namespace innoacd logs job/third > third.log
  [[ $status == 75 ]] && grep -q SeatsExhausted third.log || fail "$1: a third program ended with $status, and said: $(< third.log)"
  kubectl --namespace innoacd delete job third --wait > /dev/null
  say "a third program is refused: SeatsExhausted, exit status 75"
}

# --- 1. the chart as it is, with the image under the name that the chart asks for
[[ -f $image ]] || fail "$image is missing; \`make image\` builds it"
ctr --namespace k8s.io images import "$image" > /dev/null 2>&1 || fail "containerd does not read $image"
name=$(sed -n 's/^  repository: //p' "$chart/values.yaml"):$(sed -n 's/^appVersion: //p' "$chart/Chart.yaml")
[[ -n $(ctr --namespace k8s.io images list --quiet "name==\"$name\"" 2> /dev/null) ]] || fail "the image is not called $name, as the chart asks"
digest=$(ctr --namespace k8s.io images list "name==\"$name\"" 2> /dev/null | grep -o 'sha256:[0-9a-f]*' | head -n 1)
say "containerd has the image: $name, $digest"
kubectl create namespace seatkeeper > /dev/null
kubectl label namespace seatkeeper pod-security.kubernetes.io/enforce=restricted > /dev/null
helm install seatkeeper "$chart" --namespace seatkeeper --wait > helm.log 2>&1 ||
  fail "helm install --wait ended with an error: $(tail -n 5 helm.log)"
await 10 "two replicas are Ready" running 2
nodes=$(operators --output 'jsonpath={.items[*].spec.nodeName}')
[[ $nodes == "node-0 node-0" ]] || fail "the replicas are on: $nodes"
say "helm install: two replicas are Ready, in a namespace that enforces the Pod Security Standard 'restricted'"
await 20 "a replica leads" leads
say "$(< last) leads"

# --- 2. a licence for two, and two programs that hold its seats
kubectl apply -f "$example/00-namespace.yaml" > /dev/null
"$seatkeeper" keygen --out keys > /dev/null 2>&1
kubectl --namespace innoacd create secret generic issuer --type=seatkeeper.dev/issuer --from-file=keys/signing-key.pem > /dev/null
sed 's/^      seats: 50$/      seats: 2/' "$example/contract.yaml" > contract.yaml
grep -q '^      seats: 2$' contract.yaml || fail "examples/innoacd/contract.yaml has no line with 50 seats any more"
kubectl apply -f contract.yaml > /dev/null
kubectl --namespace innoacd wait --for=create --timeout=60s licenses.seatkeeper.dev/innoacd > /dev/null
kubectl --namespace innoacd wait --for=jsonpath='{.status.mode}'=Full --timeout=60s licenses.seatkeeper.dev/innoacd > /dev/null ||
  fail "the License is not Full: $(kubectl --namespace innoacd get licenses.seatkeeper.dev innoacd)"
say "the License is Full, with two seats"

kubectl --namespace seatkeeper get configmap seatkeeper-ca --output 'jsonpath={.data.ca\.crt}' > ca.crt
kubectl --namespace innoacd create configmap seatkeeper-ca --from-file=ca.crt > /dev/null
kubectl --namespace innoacd apply -f - > /dev/null <<Y
apiVersion: v1
kind: ServiceAccount
metadata: {name: agents}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: witness}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agents}
rules:
- {apiGroups: [seatkeeper.dev], resources: [licenses/seats], resourceNames: [innoacd], verbs: [create, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: witness}
rules:
- {apiGroups: [seatkeeper.dev], resources: [licenses/seats], resourceNames: [innoacd], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agents}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agents}
subjects: [{kind: ServiceAccount, name: agents}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: witness}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: witness}
subjects: [{kind: ServiceAccount, name: witness}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: stays}
spec:
  selector: {matchLabels: {program: stays}}
  template:
    metadata: {labels: {program: stays, seats: innoacd}}
$(pod a.ivanov --wait=3m)
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: moves}
spec:
  strategy: {type: Recreate}
  selector: {matchLabels: {program: moves}}
  template:
    metadata: {labels: {program: moves, seats: innoacd}}
$(pod b.novak --wait=3m)
Y
service=$(kubectl --namespace seatkeeper get service seatkeeper --output 'jsonpath={.spec.clusterIP}')
token=$(kubectl --namespace innoacd create token witness --audience=seatkeeper --duration=1h)
# The witness: whatever the operator says, all the time. While no replica is there, it hears nothing.
: > witness.jsonl
while sleep 1; do listed >> witness.jsonl 2> /dev/null && echo >> witness.jsonl || true; done &

# The first owner of a new ledger grants nothing for 74 s: seats might be held that the ledger does not show.
await 180 "a.ivanov has a seat" seat_of a.ivanov
await 60 "b.novak has a seat" seat_of b.novak
stays=$(seat_of a.ivanov) moves=$(seat_of b.novak)
say "a pod with a projected token holds a seat: a.ivanov, $stays"
say "another one too: b.novak, $moves"
await 60 "status.pools shows both seats" in_use 2
third_is_refused "after the install"

# --- 3. the node is drained: one replica may go, and without it the other one may not
kubectl cordon node-0 > /dev/null
if kubectl drain node-0 --ignore-daemonsets --timeout=40s > drain.log 2>&1; then
  fail "the drain took both replicas, though the PodDisruptionBudget allows one: $(< drain.log)"
fi
grep -q "would violate the pod's disruption budget" drain.log || fail "the drain failed, and not for the PodDisruptionBudget: $(tail -n 5 drain.log)"
await 30 "a.ivanov keeps the seat" same_seat a.ivanov "$stays"
await 30 "a replica leads" leads
say "drained: one replica is evicted, the PodDisruptionBudget keeps the other, and $(< last) leads"
await 90 "the seat of the evicted pod is free" in_use 1
say "the evicted pod's seat is free, and a.ivanov keeps the same seat"
kubectl drain node-0 --ignore-daemonsets --disable-eviction --timeout=90s > drain.log 2>&1 || fail "the drain failed: $(tail -n 5 drain.log)"
[[ -z $(operators --field-selector spec.nodeName=node-0 --output name) ]] || fail "an operator is still on the node: $(operators)"
say "drained without regard to the budget: no operator runs, and a.ivanov's program goes on"
kubectl uncordon node-0 > /dev/null
kubectl --namespace seatkeeper rollout status deployment/seatkeeper --timeout=120s > /dev/null || fail "the operator did not come back"
await 60 "a replica leads" leads
say "uncordoned: two replicas are Ready again, and $(< last) leads"
await 60 "a.ivanov has the same seat" same_seat a.ivanov "$stays"
say "a.ivanov has the same seat: $stays"
await 180 "b.novak has a seat again" seat_of b.novak
[[ $(seat_of b.novak) != "$moves" ]] || fail "b.novak's new pod goes on with the session of the old one: $moves"
moves=$(seat_of b.novak)
say "the pod that came back has a seat of its own: b.novak, $moves"
await 60 "status.pools shows both seats" in_use 2
third_is_refused "after the drain"

# --- 4. an upgrade that rolls the operator's pods
before=$(names)
helm upgrade seatkeeper "$chart" --namespace seatkeeper --wait --rollback-on-failure --reset-then-reuse-values \
  --set-string podAnnotations.told=again > helm.log 2>&1 || fail "helm upgrade --wait ended with an error: $(tail -n 5 helm.log)"
await 60 "two replicas are left" running 2
for old in $before; do [[ " $(names) " != *" $old "* ]] || fail "the upgrade did not replace $old"; done
await 60 "a replica leads" leads
say "helm upgrade: both replicas are replaced, and $(< last) leads"
await 60 "a.ivanov has the same seat" same_seat a.ivanov "$stays"
await 60 "b.novak has the same seat" same_seat b.novak "$moves"
await 60 "status.pools shows both seats" in_use 2
say "both programs have the same seats as before"
third_is_refused "after the upgrade"

# --- what the witness heard, and what the program says that ran through it all
restarts=$(kubectl --namespace innoacd get pods --selector program=stays --output 'jsonpath={.items[*].status.containerStatuses[*].restartCount}')
[[ $restarts == 0 ]] || fail "a.ivanov's program was restarted: '$restarts'"
kubectl --namespace innoacd logs daemonset/stays > stays.log
! grep -q 'lost' stays.log || fail "a.ivanov's program lost its seat: $(< stays.log)"
heard=$(python3 - "$stays" <<'P'
import json, sys
heard, owners = 0, {}
for line in open("witness.jsonl"):
    try:
        holders = json.loads(line)["holders"]
    except (ValueError, KeyError):
        continue  # Cut off, or a refusal while no replica leads.
    heard += 1
    slots = [(h["pool"], h["slot"]) for h in holders]
    if len(slots) > 2 or len(set(slots)) != len(slots):
        sys.exit(f"a seat is held twice: {line}")
    for h in holders:
        seat = "slot {slot}, session {session}, since {since}".format(**h)
        owners.setdefault(h["user"], []).append(seat)
if set(owners.get("a.ivanov", [])) != {sys.argv[1]}:
    sys.exit(f"a.ivanov was seen on other seats: {set(owners.get('a.ivanov', []))}")
if set(owners) != {"a.ivanov", "b.novak"}:
    sys.exit(f"others were seen on seats: {sorted(owners)}")
if heard < 30:
    sys.exit(f"the list was read only {heard} times")
print(f"the list was read {heard} times")
P
) || fail "$heard"
say "$heard: never more than two seats, never two holders of one"
say "done"
