#!/usr/bin/env bash
# `make dev`: a control plane, the CRDs, the operator and the lead example, in the foreground; Ctrl-C ends it all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
example=$root/examples/innoacd
state=${SEATKEEPER_DEV:-$root/.cache/dev}
mkdir -p "$state"
say() { echo "dev: $*"; }
fail() { say "$@" >&2; exit 1; }

say "building"
"$here/build.sh" > "$state/bin" &
build=$!
seatkeeper=${SEATKEEPER:-}   # a binary that is built already
if [[ -z $seatkeeper ]]; then
  cargo build --locked --manifest-path "$root/Cargo.toml" || { wait "$build" || true; fail "seatkeeper could not be built, see above"; }
  target=$(cargo metadata --locked --no-deps --format-version 1 --manifest-path "$root/Cargo.toml" |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
  seatkeeper=$target/debug/seatkeeper
fi
wait "$build" || fail "the control plane could not be built, see above"
bin=$(< "$state/bin")

operator=
stop() {
  trap '' INT TERM
  say "ending"
  if [[ -n $operator ]]; then
    kill "$operator" 2>/dev/null || true
    # SIGKILL in case it does not end by itself; it holds no state that is kept.
    timeout 15 tail --pid="$operator" -f /dev/null || kill -9 "$operator" 2>/dev/null || true
  fi
  if [[ -n ${up_pid:-} ]]; then
    kill "$up_pid" 2>/dev/null || true
    wait "$up_pid" 2>/dev/null || true
  fi
}
trap stop EXIT
trap 'exit 0' INT TERM

say "starting the control plane"
# Its input is a pipe that only this shell holds, so it also ends when this shell is killed.
coproc UP { exec "$here/up.sh" --until-stdin-closes "$bin" "$state/control-plane" 2> "$state/up.log"; }
up_pid=$UP_PID
IFS= read -r -t 240 ready <&"${UP[0]}" || ready=
[[ $ready == ready:* ]] || fail "the control plane did not start:" "$(tail -n 40 "$state/up.log")"
export KUBECONFIG=$state/control-plane/kubeconfig
kubectl() { "$bin/kubectl" --cache-dir "$state/control-plane/kubectl-cache" "$@"; }

say "applying the CRDs"
"$seatkeeper" crds > "$state/crds.yaml"
kubectl apply --server-side -f "$state/crds.yaml"
kubectl wait --for=condition=Established --timeout=60s -f "$state/crds.yaml" > /dev/null

kubectl create namespace seatkeeper --dry-run=client -o yaml | kubectl apply -f -

listening() { (exec 3<> "/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for port in {8080..8099}; do listening "$port" || break; done
for seats in {6441..6460}; do listening "$seats" || break; done
say "starting the operator on 127.0.0.1:$port"
setpriv --pdeathsig TERM "$seatkeeper" operator --namespace seatkeeper --listen "127.0.0.1:$port" \
  --seats-listen "127.0.0.1:$seats" --trust-from-licenses allow > "$state/operator.log" 2>&1 &
operator=$!
is_ready() {
  (exec 3<> "/dev/tcp/127.0.0.1/$port" && printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3 &&
    IFS= read -r -t 2 line <&3 && [[ $line == *' 200 '* ]]) 2>/dev/null
}
end=$((SECONDS + 60))
until is_ready; do
  kill -0 "$operator" 2>/dev/null || fail "the operator ended:" "$(tail -n 40 "$state/operator.log")"
  ((SECONDS < end)) || fail "the operator was not ready within a minute; its log:" "$(tail -n 40 "$state/operator.log")"
  sleep 0.2
done

say "ordering: ${example#"$root"/}"
kubectl apply -f "$example/00-namespace.yaml"
[[ -f $state/keys/signing-key.pem ]] || "$seatkeeper" keygen --out "$state/keys"
kubectl --namespace innoacd create secret generic issuer --type=seatkeeper.dev/issuer \
  --from-file="$state/keys/signing-key.pem" --dry-run=client -o yaml | kubectl apply -f -
kubectl apply -f "$example/contract.yaml"
kubectl --namespace innoacd wait --for=create --timeout=30s licenses.seatkeeper.dev/innoacd > /dev/null
kubectl --namespace innoacd wait --for=condition=Licensed --timeout=30s licenses.seatkeeper.dev/innoacd
kubectl --namespace innoacd get plans.seatkeeper.dev,subscriptions.seatkeeper.dev,licenses.seatkeeper.dev
cat <<TEXT

  A Kubernetes control plane with seatkeeper is running. In another terminal:

    export KUBECONFIG=$KUBECONFIG
    export PATH=$bin:\$PATH

    kubectl get licensing -n innoacd
    kubectl describe licenses.seatkeeper.dev innoacd -n innoacd
    kubectl get events -n innoacd
    kubectl explain licenses.seatkeeper.dev.spec

  The operator's log: $state/operator.log
  Metrics:            curl http://127.0.0.1:$port/metrics
  Seats:              http://127.0.0.1:$seats/v1/seats
  Ctrl-C ends it all; nothing is kept.

TEXT
wait -n "$operator" "$up_pid" || true
kill -0 "$operator" 2>/dev/null || fail "the operator ended:" "$(tail -n 40 "$state/operator.log")"
fail "the control plane ended:" "$(tail -n 40 "$state/up.log")"
