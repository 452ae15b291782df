"""The Helm chart passes Helm's lint, renders with Helm's engine and fits the schemas of Kubernetes.

No cluster is contacted. Custom resources (ServiceMonitor, PrometheusRule, ScaledObject) have no schema here,
so their important parts are checked one by one.
"""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import helm_python as helm
import kubernetes_validate
import pytest
import yaml

import common
from tests.conftest import REPOSITORY

CHART = REPOSITORY / "deploy" / "helm"
NEEDED: dict[str, Any] = {
    "existingSecret": "site-secrets",
    "site": {"url": "https://face.example.com", "trustedProxies": ["10.0.0.0/8"]},
}
POOLS = [
    {"name": "inference", "queues": ["inference"]},
    {
        "name": "far", "queues": ["inference.far"], "nodeSelector": {"place": "far"},
        "autoscaling": {"kind": "keda", "minReplicas": 1, "maxReplicas": 4, "load": "1", "region": "cn-gz4"},
    },
    {
        "name": "both", "queues": ["inference.far", "inference"],
        "autoscaling": {"kind": "hpa", "minReplicas": 1, "maxReplicas": 4, "load": "2"},
    },
]  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "bundled": {},
    "your own services, everything on": {
        "postgresql": {"bundled": False},
        "valkey": {"bundled": False},
        "pullSecrets": ["registry"],
        "settings": {"DEADLINE_S": 20, "GALLERY": False},
        "web": {"autoscaling": {"enabled": True}, "tolerations": [{"key": "web"}]},
        "worker": {"pools": POOLS, "settings": {"WORKER_POOL": "prefork"}},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "tlsSecret": "site-tls",
            "annotations": {"a/b": "c"},
        },
        "networkPolicy": {"webFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}]},
        "monitoring": {"serviceMonitor": True, "alertRules": True, "dashboard": True, "labels": {"x": "y"}},
    },
    "no network policies": {"networkPolicy": {"enabled": False}},
}
BACK_OFF_IS_RESET_AFTER_S = 600  # by the kubelet, if a container ran for this long
OF_OPERATORS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
Manifest = dict[str, Any]


def render(variant: str) -> list[Manifest]:
    return render_with(VARIANTS[variant])


def render_with(values: dict[str, Any]) -> list[Manifest]:
    with helm.Chart.load(CHART) as chart:
        files = chart.render({**NEEDED, **values}, name="demo", namespace="faces")
    texts = [text for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the specification of each pod by its component."""
    return {
        found["metadata"]["labels"]["app.kubernetes.io/component"]: found["spec"]["template"]["spec"]
        for found in manifests
        if found["kind"] in {"Deployment", "StatefulSet", "Job"}
    }


def named(manifests: list[Manifest], kind: str, end: str = "") -> Manifest:
    (found,) = [one for one in manifests if one["kind"] == kind and one["metadata"]["name"].endswith(end)]
    return found


def environment(pod: Manifest) -> dict[str, Any]:
    return {
        one["name"]: one.get("value", one.get("valueFrom", {}).get("secretKeyRef", {}).get("key"))
        for one in pod["containers"][0]["env"]
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_helm_lint_finds_nothing(variant: str) -> None:
    report = helm.lint(CHART, {**NEEDED, **VARIANTS[variant]})
    assert report["errors"] == []
    assert [found for found in report["messages"] if "icon is recommended" not in found["error"]] == []


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_manifests_fit_the_schemas_of_kubernetes(variant: str, version: str) -> None:
    manifests = render(variant)
    for manifest in manifests:
        if manifest["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(manifest, version, strict=True)
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(set(names)) == len(names) > 10


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_pod_is_confined(variant: str) -> None:
    for component, pod in pods(render(variant)).items():
        assert pod["securityContext"]["runAsNonRoot"], component
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"].get("limits", {"memory": ""}), component


def test_the_processes_are_those_of_compose() -> None:
    found = pods(render("bundled"))
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    assert set(found) == {"worker-inference", *services} - {"worker", "proxy"}
    for name in ("scheduled", "mail", "beat"):
        assert found[name]["containers"][0]["command"] == services[name]["command"].split()
    for name in ("postgres", "valkey"):
        assert services[name]["image"].endswith(f":-{found[name]['containers'][0]['image']}}}")


def test_a_worker_gets_no_secret_but_its_valkey_password() -> None:
    bundled = environment(pods(render("bundled"))["worker-inference"])
    assert set(bundled) == {"VALKEY_WORKER_PASSWORD", "REDIS_URL", "WORKER_QUEUES", "LIVENESS_FILE"}
    assert bundled["REDIS_URL"] == "redis://worker:$(VALKEY_WORKER_PASSWORD)@demo-facecloud-valkey:6379/0"
    own = pods(render("your own services, everything on"))
    assert environment(own["worker-far"])["REDIS_URL"] == "WORKER_REDIS_URL"  # the key of the Secret
    assert environment(own["worker-both"])["WORKER_QUEUES"] == "inference.far,inference"
    assert environment(own["worker-far"])["WORKER_POOL"] == "prefork"


def test_only_migrate_is_given_the_owner_of_the_tables() -> None:
    for variant in VARIANTS:
        owners = {
            component
            for component, pod in pods(render(variant)).items()
            if {"DATABASE_OWNER_URL", "POSTGRES_PASSWORD"} & set(environment(pod))
        }
        assert owners - {"postgres"} == {"migrate"}


def test_every_variable_is_a_setting() -> None:
    known = set(re.findall(r"^#([A-Z_]+)=", (REPOSITORY / ".env.example").read_text(), re.MULTILINE))
    ours = known | {"WEB_WORKERS", "POSTGRES_USER"}
    for pod in pods(render("bundled")).values():
        assert set(environment(pod)) <= ours
    web = environment(pods(render("bundled"))["web"])
    assert (web["DJANGO_ALLOWED_HOSTS"], web["SECURE_COOKIES"]) == ("face.example.com,localhost", "True")


def test_the_web_is_probed_by_healthz_and_finishes_its_calls() -> None:
    """A readiness of /readyz would take the console and the answer 5003 away with the last worker."""
    web = pods(render("bundled"))["web"]
    container = web["containers"][0]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] == "/healthz"
    assert container["lifecycle"]["preStop"]["exec"]["command"][0] == "sleep"
    assert web["terminationGracePeriodSeconds"] > 250
    beat = named(render("bundled"), "Deployment", "-beat")
    assert (beat["spec"]["replicas"], beat["spec"]["strategy"]) == (1, {"type": "Recreate"})


def passes(probe: Manifest, file: Path, *, untouched_s: float) -> bool:
    """Return whether the probe's command accepts a liveness file of this age."""
    file.touch()
    touched_s = time.time() - untouched_s
    os.utime(file, (touched_s, touched_s))
    command = [word.replace("/tmp/alive", str(file)) for word in probe["exec"]["command"]]
    return subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("component", ["worker-inference", "scheduled", "mail", "beat"])
def test_an_outage_of_valkey_makes_a_pod_unready_and_does_not_restart_it(
    component: str, tmp_path: Path
) -> None:
    """The process reconnects by itself; restarts again and again would delay it by their back-off."""
    (container,) = pods(render("bundled"))[component]["containers"]
    ready, alive = container["readinessProbe"], container["livenessProbe"]
    assert passes(ready, tmp_path / "alive", untouched_s=5)
    assert not passes(ready, tmp_path / "alive", untouched_s=300)
    assert passes(alive, tmp_path / "alive", untouched_s=300)
    assert not passes(alive, tmp_path / "alive", untouched_s=900)  # it hangs
    start = container["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] > BACK_OFF_IS_RESET_AFTER_S


@pytest.mark.parametrize(
    ("variant", "hooks"),
    [
        ("bundled", "post-install,pre-upgrade"),  # its PostgreSQL is not there before
        ("your own services, everything on", "pre-install,pre-upgrade"),
    ],
)
def test_tables_are_migrated_by_a_hook(variant: str, hooks: str) -> None:
    job = named(render(variant), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == hooks


def test_workers_scale_by_the_queue_of_their_region() -> None:
    manifests = render("your own services, everything on")
    (trigger,) = named(manifests, "ScaledObject")["spec"]["triggers"]
    assert trigger["metadata"]["query"] == (
        'max(facecloud_region_queue_chunks{region="cn-gz4"})'
        ' / clamp_min(max(facecloud_region_worker_slots{region="cn-gz4"}), 1)'
    )
    scaled = named(manifests, "Deployment", "-worker-far")
    assert "replicas" not in scaled["spec"]  # or each upgrade would undo the scaling
    assert named(manifests, "HorizontalPodAutoscaler", "-both")["spec"]["metrics"][0]["type"] == "External"


def test_the_charts_alerts_and_dashboard_are_those_of_the_repository() -> None:
    manifests = render("your own services, everything on")
    rules = yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text())
    assert named(manifests, "PrometheusRule")["spec"] == rules
    dashboard = named(manifests, "ConfigMap", "-dashboard")["data"]["facecloud.json"]
    assert json.loads(dashboard) == json.loads((REPOSITORY / "deploy/grafana/facecloud.json").read_text())
    (endpoint,) = named(manifests, "ServiceMonitor")["spec"]["endpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "site-secrets", "key": "METRICS_TOKEN"}
    address, dropped, _job = endpoint["relabelings"]
    assert address["replacement"] == "demo-facecloud-web.faces.svc:80"  # one target, whatever pods there are
    assert re.fullmatch(dropped["regex"], "pod")


def test_valkey_has_the_users_of_compose() -> None:
    script = named(render("bundled"), "ConfigMap", "-valkey")["data"]["start.sh"]
    assert script == (REPOSITORY / "deploy/valkey/start.sh").read_text()


def test_policies_let_a_worker_reach_valkey_and_no_database() -> None:
    manifests = render("bundled")
    egress = named(manifests, "NetworkPolicy", "-worker")["spec"]["egress"]
    assert [port["port"] for rule in egress for port in rule["ports"]] == [53, 53, 6379]
    (ingress,) = named(manifests, "NetworkPolicy", "-postgres")["spec"]["ingress"]
    expressions = ingress["from"][0]["podSelector"]["matchExpressions"]
    assert {"key": "facecloud/pool", "operator": "NotIn", "values": ["worker"]} in expressions
    labels = named(manifests, "Deployment", "-worker-inference")["spec"]["template"]["metadata"]["labels"]
    assert labels["facecloud/pool"] == "worker"
    assert [one for one in render("no network policies") if one["kind"] == "NetworkPolicy"] == []


INGRESS = {"namespaceSelector": {"matchLabels": {"name": "ingress"}}}
PROMETHEUS = {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}


@pytest.mark.parametrize(
    ("peers", "allowed"),
    [
        ({}, None),
        ({"metricsFrom": [PROMETHEUS]}, None),  # "webFrom: empty: all" holds; the site stays reachable
        ({"webFrom": [INGRESS]}, [INGRESS]),
        ({"webFrom": [INGRESS], "metricsFrom": [PROMETHEUS]}, [INGRESS, PROMETHEUS]),
    ],
)
def test_only_web_from_restricts_who_reaches_the_site(
    peers: dict[str, Any], allowed: list[dict[str, Any]] | None
) -> None:
    policy = named(render_with({"networkPolicy": peers}), "NetworkPolicy", "-web")
    kubernetes_validate.validate(policy, "1.37", strict=True)
    (rule,) = policy["spec"]["ingress"]
    assert rule.get("from") == allowed


def test_a_worker_reaches_your_own_valkey_wherever_it_listens() -> None:
    own = {"valkey": {"bundled": False}}
    policy = named(render_with(own), "NetworkPolicy", "-worker")
    _names, anywhere = policy["spec"]["egress"]
    assert anywhere == {"ports": [{"port": 6379}, {"port": 6380}, {"port": 26379}]}
    peers = [{"ipBlock": {"cidr": "10.2.3.4/32"}}]
    there = {**own, "networkPolicy": {"valkeyTo": peers, "valkeyPorts": [10001]}}
    policy = named(render_with(there), "NetworkPolicy", "-worker")
    kubernetes_validate.validate(policy, "1.37", strict=True)
    assert policy["spec"]["egress"][1] == {"ports": [{"port": 10001}], "to": peers}


def pool_with(**autoscaling: Any) -> dict[str, Any]:
    pool = {"name": "a", "queues": ["inference"], "autoscaling": autoscaling}
    return {**NEEDED, "worker": {"pools": [pool]}}


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "existingSecret|site.url"),
        ({**NEEDED, "site": {"url": "face.example.com"}}, "url"),
        ({**NEEDED, "worker": {"pools": [{"name": "a", "queues": ["scheduled"]}]}}, "queues"),
        ({**NEEDED, "web": {"replica": 2}}, "replica"),
        ({**NEEDED, "beat": {"replicas": 2}}, "replicas"),
        ({**NEEDED, "settings": {"not-a-setting": "x"}}, "not-a-setting"),
        (pool_with(kind="keda", maxReplicas=4, load="1"), "minReplicas"),
        (pool_with(kind="hpa", minReplicas=1, load="1"), "maxReplicas"),
        (pool_with(kind="hpa", minReplicas=1, maxReplicas=4), "load"),
        (pool_with(kind="keda", minReplicas=1, maxReplicas=4, load="0.0"), "load"),
        (pool_with(kind="keda", minReplicas=5, maxReplicas=4, load="1"), "minReplicas is greater"),
        ({**NEEDED, "web": {"autoscaling": {"enabled": True, "maxReplicas": None}}}, "maxReplicas"),
        ({**NEEDED, "web": {"autoscaling": {"enabled": True, "minReplicas": 7}}}, "minReplicas is greater"),
        ({**NEEDED, "networkPolicy": {"valkeyPorts": []}}, "valkeyPorts"),
    ],
)
def test_invalid_values_are_refused(values: dict[str, Any], word: str) -> None:
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmError, match=word):
        chart.render(values, name="demo", namespace="faces")


def test_the_chart_names_the_version_of_the_product() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == common.__version__
