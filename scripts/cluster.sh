# What deploy.sh and cleanup.sh share; sourced, not run.
# shellcheck shell=bash
namespace=stageline
oldest_kubectl=1.27 # with Kustomize 5

refuse() { # SENTENCE: nothing was changed
  echo "$(basename "$0"): $1" >&2
  exit 2
}

need_cluster() {
  command -v kubectl >/dev/null || refuse "kubectl is not on the PATH: install it; nothing was changed"
  local output
  output=$(kubectl get --raw /version --request-timeout=10s 2>&1 >/dev/null) ||
    refuse "no cluster answers (kubectl's context: $(kubectl config current-context 2>/dev/null || echo none)); nothing was changed. kubectl says: ${output##*$'\n'}"
}

need_kustomize() {
  local version
  version=$(kubectl version --client -o json 2>/dev/null | sed -n 's/.*"gitVersion": *"v\([0-9.]*\).*/\1/p') || true
  [ "$(printf '%s\n' $oldest_kubectl "$version" | sort -V | head -1)" = $oldest_kubectl ] ||
    refuse "kubectl is ${version:-of an unknown version}, and its Kustomize too old for these manifests: install $oldest_kubectl or newer; nothing was changed"
}

print_reasons() { # prints what each unready pod waits for, and its last log lines
  local pod
  for pod in $(kubectl -n $namespace get pods -o json | not_ready); do
    echo "--- $pod is not ready:"
    kubectl -n $namespace get pod "$pod" --no-headers
    kubectl -n $namespace logs "$pod" --all-containers --tail=2 2>&1 | cut -c1-300
  done
  echo "docs/kubernetes.md has what to do, by symptom"
}

not_ready() {
  python3 -c '
import json, sys
for pod in json.load(sys.stdin)["items"]:
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))
    if not ready and pod["status"].get("phase") != "Succeeded":
        print(pod["metadata"]["name"])'
}

say_where() {
  local node user
  user=$(kubectl -n $namespace get secret stageline -o jsonpath='{.data.MINIO_ROOT_USER}' | base64 -d)
  node=$(kubectl get nodes -o 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}')
  cat <<TEXT

The line is ready.
  pictures   curl -F image=@street.jpg http://$node:30005/upload
  page       http://$node:30005          (kind, or a node that is out of reach: kubectl -n $namespace port-forward svc/grab 30005)
  console    http://$node:30003          (user $user, password: kubectl -n $namespace get secret stageline -o jsonpath='{.data.MINIO_ROOT_PASSWORD}' | base64 -d)
TEXT
}
