"""Which pod reaches which: services, network policies, the mesh and the ingress, worked through as a network would."""

import re
from functools import cache
from urllib.parse import urlsplit

import pytest

from grab_service.uploads import batches
from tests.support import manifests
from tests.support.manifests import K8S, NAME, OURS, SERVERS, STAGES, Document, Workload, documents, named, selects

POLICIES = list(documents("NetworkPolicy"))
WORKLOADS = {each.name: each for each in manifests.workloads()}
NODE_PORTS = {30003: "minio-console", 30005: "grab"}
PORTS = {"redis": 6379, "cache": 6379, "minio": 9000, "postgres": 5432}
BUSINESS = {  # which pods use which server
    "redis": set(OURS),
    "cache": set(OURS),
    "minio": {*OURS, "backup-bucket"},
    "postgres": {"grab", "catalogue", "backup-database"},
}
STRANGER = {NAME: "stranger"}
MESH_PORT = 15008


def applies(policy: Document, labels: dict[str, str], direction: str) -> bool:
    return direction in policy["spec"]["policyTypes"] and selects(policy["spec"]["podSelector"], labels)


def lets(policy: Document, direction: str, other: dict[str, str], namespace: str, port: int, protocol: str) -> bool:
    """Whether one of its rules fits the pod at the other end. An address block fits none: pods have private ones."""
    for rule in policy["spec"].get(direction.lower(), []):
        ports = rule.get("ports")
        peers = rule.get("from" if direction == "Ingress" else "to")
        fits_port = ports is None or any(p["port"] == port and p["protocol"] == protocol for p in ports)
        if fits_port and (peers is None or any(_is(peer, other, namespace) for peer in peers)):
            return True
    return False


def _is(peer: Document, labels: dict[str, str], namespace: str) -> bool:
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        fits = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
        return fits and selects(peer.get("podSelector", {}), labels)
    return namespace == "stageline" and selects(peer["podSelector"], labels)


def let_out(source: dict[str, str], target: str, port: int) -> bool:
    """Whether the policies of its own end let one of our pods open a connection to another."""
    there = WORKLOADS[target].labels
    own = [each for each in POLICIES if applies(each, source, "Egress")]
    return any(lets(each, "Egress", there, "stageline", port, "TCP") for each in own)


def let_in(source: dict[str, str], target: str, port: int, namespace: str = "stageline") -> bool:
    """Whether the policies of the other end take a connection from a pod."""
    there = [each for each in POLICIES if applies(each, WORKLOADS[target].labels, "Ingress")]
    return any(lets(each, "Ingress", source, namespace, port, "TCP") for each in there)


@pytest.mark.parametrize("server", SERVERS)
def test_only_pods_that_use_a_server_reach_it(server: str) -> None:
    """At either end, each by itself: every pair of pods, the servers among themselves, and a pod of no known kind."""
    port = PORTS[server]
    assert {each.name for each in WORKLOADS.values() if let_out(each.labels, server, port)} == BUSINESS[server]
    assert {each.name for each in WORKLOADS.values() if let_in(each.labels, server, port)} == BUSINESS[server]
    assert not let_out(STRANGER, server, port)
    assert not let_in(STRANGER, server, port)
    assert not let_in(WORKLOADS["grab"].labels, server, port, "default"), "labels count in our own namespace alone"


def test_every_address_that_is_set_is_a_server_with_a_policy() -> None:
    """The addresses of the ConfigMap are Services of the base, at ports which the policies know."""
    data = named("ConfigMap", "stageline")["data"]
    urls = [data["REDIS_URL"], data["CACHE_URL"], data["DATABASE_URL"], f"http://{data['MINIO_ENDPOINT']}"]
    assert {(urlsplit(url).hostname, urlsplit(url).port) for url in urls} == set(PORTS.items())


def test_what_is_open_to_all() -> None:
    """The API and the console, from everywhere; metrics from `monitoring`; nothing else of anybody's."""
    for port, name in ((30005, "grab"), (9001, "minio")):
        assert let_in({}, name, port, "keda")
        assert let_in({}, name, port, "default")
    for name in (*STAGES, "catalogue"):
        assert let_in({}, name, 8080, "monitoring")
        assert not let_in({}, name, 8080, "default")
        assert not let_in(WORKLOADS["grab"].labels, name, 8080)


def test_policies_apply_to_all_and_name_only_what_is_there() -> None:
    """Both ways are denied to every pod; each selector, of pods and of peers, fits some workload."""
    deny = named("NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in POLICIES:
        assert _fits_some(policy["spec"]["podSelector"]), policy["metadata"]["name"]
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]:
            for peer in [*rule.get("from", []), *rule.get("to", [])]:
                assert "namespaceSelector" in peer or "ipBlock" in peer or _fits_some(peer["podSelector"]), peer
            for port in rule.get("ports", []):
                assert {port["port"]} & {*_ports_of_all(), 53, 443, MESH_PORT}, port


def test_names_are_asked_by_whom_calls_anybody() -> None:
    """The servers call no one, so they need no names; nor does a stranger."""
    for each in [each.labels for each in WORKLOADS.values()] + [STRANGER]:
        policies = [policy for policy in POLICIES if applies(policy, each, "Egress")]
        calls = each.get("app.kubernetes.io/component") in ("door", "stage", "catalogue", "backup")
        for protocol in ("TCP", "UDP"):
            assert calls == any(lets(policy, "Egress", {}, "kube-system", 53, protocol) for policy in policies)


def test_only_the_stages_with_models_reach_the_internet() -> None:
    """By 443, in a file of its own that may be left out; private addresses are none of it."""
    outside = {
        each["metadata"]["name"]: {name for name, work in WORKLOADS.items() if applies(each, work.labels, "Egress")}
        for each in POLICIES
        if any("ipBlock" in peer for rule in each["spec"].get("egress", []) for peer in rule.get("to", []))
    }
    assert outside == {"models-from-the-internet": {"detect", "classify"}}
    (document,) = documents("NetworkPolicy", K8S / "network-policies" / "models-from-the-internet.yaml")
    (rule,) = document["spec"]["egress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 443}]
    blocks = [peer["ipBlock"] for peer in rule["to"]]
    assert all(
        {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= set(b["except"]) for b in blocks if "." in b["cidr"]
    )


def test_services_lead_to_pods() -> None:
    """Each Service selects one workload, and each of its ports is one that a container there has."""
    found = {each["metadata"]["name"]: each["spec"] for each in documents("Service")}
    assert set(found) == {*SERVERS, "minio-console", "grab"}
    for name, spec in found.items():
        (workload,) = [each for each in WORKLOADS.values() if selects({"matchLabels": spec["selector"]}, each.labels)]
        for port in spec["ports"]:
            assert port["targetPort"] in _ports(workload), f"{name}: {port}"
    node_ports = {
        port["nodePort"]: name for name, spec in found.items() for port in spec["ports"] if "nodePort" in port
    }
    assert node_ports == NODE_PORTS
    data = named("ConfigMap", "stageline")["data"]
    assert NODE_PORTS.get(urlsplit(data["MINIO_CONSOLE_URL"]).port or 0) == "minio-console"
    served = {(name, port["port"]) for name, spec in found.items() for port in spec["ports"]}
    assert {*PORTS.items(), ("grab", 30005)} <= served


def test_the_mesh_allows_what_the_policies_allow() -> None:
    """By service account, the same have business with a server; the console stays open to people."""
    accounts = {each["metadata"]["name"] for each in documents("ServiceAccount")}
    for server, port in PORTS.items():
        spec = named("AuthorizationPolicy", server)["spec"]
        assert selects(spec["selector"], WORKLOADS[server].labels)
        assert spec["action"] == "ALLOW"
        (rule,) = [each for each in spec["rules"] if "from" in each]
        assert rule["to"] == [{"operation": {"ports": [str(port)]}}]
        allowed = {each.rpartition("/")[2] for each in rule["from"][0]["source"]["principals"]}
        assert allowed <= accounts
        assert allowed == {WORKLOADS[name].pod["serviceAccountName"] for name in BUSINESS[server]}
        open_ports = {each["to"][0]["operation"]["ports"][0] for each in spec["rules"] if "from" not in each}
        assert open_ports == ({"9001"} if server == "minio" else set())
    assert {each["metadata"]["name"] for each in documents("AuthorizationPolicy")} == set(PORTS)


def test_the_mesh_is_strict_but_for_the_node_ports() -> None:
    """Mutual TLS everywhere; in plain only what comes by a NodePort."""
    found = {each["metadata"]["name"]: each["spec"] for each in documents("PeerAuthentication")}
    assert {spec["mtls"]["mode"] for spec in found.values()} == {"STRICT"}
    assert "selector" not in found["stageline"]
    for name, port in (("grab", 30005), ("minio", 9001)):
        assert selects(found[name]["selector"], WORKLOADS[name].labels)
        assert found[name]["portLevelMtls"] == {port: {"mode": "PERMISSIVE"}}
        assert port in _ports(WORKLOADS[name])


def test_the_ingress_leads_to_the_api_and_takes_what_the_api_takes() -> None:
    """Its backend is the API's Service; a batch as large as the API's largest passes; events are not held back."""
    (ingress,) = documents("Ingress")
    (rule,) = ingress["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = named("Service", path["backend"]["service"]["name"])
    assert path["backend"]["service"]["port"]["number"] in {port["port"] for port in service["spec"]["ports"]}
    assert [rule["host"]] == ingress["spec"]["tls"][0]["hosts"]
    notes = ingress["metadata"]["annotations"]
    for name in ("nginx.ingress.kubernetes.io/proxy-body-size", "nginx.org/client-max-body-size"):
        number = re.fullmatch(r"(\d+)m", notes[name])
        assert number, name
        assert int(number[1]) * 2**20 > batches.MAX_BYTES
    assert notes["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"


@cache
def _ports_of_all() -> frozenset[int | str]:
    return frozenset(port for workload in WORKLOADS.values() for port in _ports(workload))


def _ports(workload: Workload) -> set[int | str]:
    ports = [port for box in workload.containers for port in box.get("ports", [])]
    return {port["containerPort"] for port in ports} | {port["name"] for port in ports}


def _fits_some(selector: Document) -> bool:
    return any(selects(selector, each.labels) for each in WORKLOADS.values())
