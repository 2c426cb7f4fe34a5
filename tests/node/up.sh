#!/usr/bin/env bash
# A real node with its control plane, in namespaces of its own, for as long as COMMAND runs:  up.sh COMMAND...
# The namespaces are of network, mounts and processes. When their first process ends, the kernel ends all others and
# removes the mounts and interfaces. So nothing is left on the machine, however this ends, even by SIGKILL.
# COMMAND runs in these namespaces, with KUBECONFIG set and kubectl, helm and ctr in PATH. `up.sh bash` is for looking around.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
say() { echo "node: $*" >&2; }
fail() { say "$@"; exit 1; }
(($# > 0)) || { echo "usage: up.sh COMMAND..." >&2; exit 2; }

"$here/machine.sh"
control_plane=$("$here/../control-plane/build.sh")
node=$("$here/../control-plane/build.sh" node)

state=${SEATKEEPER_NODE:-$root/.cache/node}
mkdir -p "$state"
state=$(cd "$state" && pwd)
[[ -z $(ls -A "$state") || -e $state/lock ]] || fail "$state is not empty and not a node's state; name another folder"
# Everything started below inherits the lock, so a free lock means that every process of an earlier run is gone.
take_lock() {
  exec {lock}> "$state/lock"
  flock -w 20 "$lock"
}
take_lock || fail "another node is running in $state; end it or set SEATKEEPER_NODE to another folder"

# The kernel removes no cgroups, so they have a parent of their own, which is removed at the end.
group=seatkeeper-node-$(cksum <<< "$state" | cut -d ' ' -f 1)
cgroups() { awk '$3 == "cgroup" || $3 == "cgroup2" {print $2}' /proc/mounts; }
# Folders of the machine that kubelet, containerd and CNI cannot do without. Inside, the state's folders are mounted over them.
folders=(/var/lib/kubelet /var/lib/containerd /var/lib/cni /var/log/containers /var/log/pods)
clear_up() {
  local mount
  while IFS= read -r mount; do
    # A cgroup may be busy for a moment after its last process has ended.
    for _ in {1..50}; do
      [[ -d $mount/$group ]] || break
      find "$mount/$group" -depth -type d -exec rmdir {} + 2> /dev/null || sleep 0.1
    done
    [[ ! -d $mount/$group ]] || say "$mount/$group cannot be removed"
  done < <(cgroups)
  rm -rf "$state/machine" "$state/control-plane"
  [[ ! -f $state/made ]] || xargs rmdir < "$state/made" 2> /dev/null || true
  rm -f "$state/made"
}
# An earlier run that was killed left its folders and cgroups.
clear_up

child=
stop() {
  trap '' INT TERM HUP
  if [[ -n $child ]]; then
    kill -9 "$child" 2> /dev/null || true
    wait "$child" 2> /dev/null || true
    exec {lock}>&-
    take_lock || say "some processes have not ended within 20 s"
  fi
  clear_up
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

while IFS= read -r mount; do
  # Version 2 gives a group only the controllers that its parent names.
  if [[ -f $mount/cgroup.subtree_control ]]; then
    for controller in cpu cpuset memory pids; do echo "+$controller" > "$mount/cgroup.subtree_control" || true; done 2> /dev/null
  fi
  mkdir "$mount/$group"
done < <(cgroups)
for folder in "${folders[@]}"; do
  [[ -d $folder ]] || { echo "$folder" >> "$state/made"; mkdir -p "$folder"; }
  mkdir -p "$state/machine$folder"
done

# The kernel kills unshare when this shell is gone, and the namespaces with it. In the background, so that a signal to
# this shell is handled at once.
CONTROL_PLANE=$control_plane NODE=$node STATE=$state GROUP=$group FOLDERS="${folders[*]}" \
  setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc "$here/inside.sh" "$@" <&0 &
child=$!
status=0
wait "$child" || status=$?
child=
exit "$status"
