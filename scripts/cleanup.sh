#!/usr/bin/env bash
# Takes the line off the cluster that kubectl is set to. Its data (volumes, the nightly copies on one of them, Secret)
# goes only with an option, or after a question.
#   scripts/cleanup.sh             removes what runs, then asks whether the data may go as well
#   scripts/cleanup.sh --keep-data removes what runs, and nothing more
#   scripts/cleanup.sh --data      removes all of it without asking
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/cluster.sh
. scripts/cluster.sh

case ${1:-} in
  '' | --keep-data | --data) wish=${1:-ask} ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
need_cluster
kubectl get namespace $namespace >/dev/null 2>&1 || refuse "there is no namespace $namespace on this cluster"

remove_what_runs() {
  local kinds
  kinds=$({ kubectl api-resources --namespaced --verbs=delete,list -o name || true; } | # one broken API fails it all
    grep -E '^(scaledobjects\.keda|horizontalpodautoscalers|cronjobs|jobs|deployments|statefulsets|ingresses|services|poddisruptionbudgets|networkpolicies|serviceaccounts|.*\.istio\.io)' | cut -d. -f1-2 | paste -sd,)
  kubectl -n $namespace delete "$kinds" -l app.kubernetes.io/part-of=stageline --ignore-not-found
  kubectl -n $namespace wait --for=delete pod -l app.kubernetes.io/part-of=stageline --timeout=200s || true
}

data_may_go() {
  [ "$wish" = --data ] && return
  [ "$wish" = ask ] || return 1
  echo "These volumes hold the pictures, what was found in them, the queues, and the nightly copies (backups):"
  kubectl -n $namespace get persistentvolumeclaim
  read -r -p "Type '$namespace' to delete them for good, or anything else to keep them: " answer || return 1
  [ "$answer" = $namespace ]
}

echo "removing the line from $(kubectl config current-context)"
remove_what_runs
if data_may_go; then
  kubectl delete namespace $namespace
else
  echo "kept: the namespace $namespace with its volumes and its Secret; scripts/deploy.sh goes on from there"
fi
