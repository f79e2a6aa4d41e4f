#!/usr/bin/env python3
"""Checks rendered manifests: each against Kubernetes' own schema, strictly, and all of them against each other.

    k8s.py FILE     one line a fault, exit 1 if there is one
"""
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import yaml

DEPLOY = Path(__file__).resolve().parent.parent
# Kinds of the Prometheus operator, of which kubernetes-validate has no schema.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
ALIVE_OF = {"control-api": ("/healthz", "/readyz?only=secrets,sessions"), "edge-gateway": ("/healthz", "/readyz?only=edge,secrets")}


def template(workload):
    return workload["spec"]["template"]


def main(file):
    documents = [d for d in yaml.safe_load_all(Path(file).read_text()) if d]
    # The Secrets that are not in the tree, as make-secrets.sh prints them.
    printed = subprocess.run([DEPLOY / "k8s/make-secrets.sh"], capture_output=True, text=True, check=True).stdout
    secrets = [d for d in yaml.safe_load_all(printed) if d]
    faults = []
    fault = faults.append
    newest = kubernetes_validate.latest_version()
    for document in documents + secrets:
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] in FOREIGN:
            continue
        try:
            kubernetes_validate.validate(document, newest, strict=True)
        except kubernetes_validate.ValidationError as error:
            fault(f"{name}: {error.message} at {'.'.join(map(str, error.path))}")
        if document["kind"] not in {"Namespace"} and document["metadata"].get("namespace") != "keystone":
            fault(f"{name}: not in the namespace keystone")
    by_kind = {}
    for document in documents:
        by_kind.setdefault(document["kind"], {})[document["metadata"]["name"]] = document
    workloads = {n: d for kind in WORKLOADS for n, d in by_kind.get(kind, {}).items()}
    pods = {n: template(d)["metadata"].get("labels", {}) for n, d in workloads.items()}

    def matches(selector):
        # A StatefulSet's controller adds the pod's name.
        wanted = {k: v for k, v in selector.items() if k != "statefulset.kubernetes.io/pod-name"}
        return [n for n, labels in pods.items() if wanted.items() <= labels.items()]

    ports = {n: {p["name"] for c in template(d)["spec"]["containers"] for p in c.get("ports", [])} for n, d in workloads.items()}
    for name, service in by_kind.get("Service", {}).items():
        targets = matches(service["spec"]["selector"])
        if not targets:
            fault(f"Service/{name}: selects nobody")
        for port in service["spec"]["ports"]:
            target = port.get("targetPort")
            if isinstance(target, str) and not all(target in ports[n] for n in targets):
                fault(f"Service/{name}: no container port is called {target}")
            if service["spec"].get("type") in {"LoadBalancer", "NodePort"} and target not in {"rtmp", "srt", "rtc", "rtc-tcp"} and not (
                isinstance(target, int) and 30800 <= target < 30900
            ):
                fault(f"Service/{name}: {target} is open to the world")
    for kind in ["PodDisruptionBudget", "NetworkPolicy"]:
        for name, document in by_kind.get(kind, {}).items():
            spec = document["spec"]
            selector = spec.get("selector" if kind == "PodDisruptionBudget" else "podSelector", {}).get("matchLabels")
            if selector and not matches(selector):
                fault(f"{kind}/{name}: selects nobody")
            for rule in spec.get("ingress", []) + spec.get("egress", []):
                for peer in rule.get("from", []) + rule.get("to", []):
                    labels = peer.get("podSelector", {}).get("matchLabels")
                    if labels and not matches(labels):
                        fault(f"{kind}/{name}: {labels} is nobody")
                for port in rule.get("ports", []):
                    targets = matches(selector or {})
                    if "ingress" in spec and rule in spec["ingress"] and isinstance(port["port"], str):
                        if not any(port["port"] in ports[n] for n in targets):
                            fault(f"{kind}/{name}: no port is called {port['port']}")
    for name, scaler in by_kind.get("HorizontalPodAutoscaler", {}).items():
        target = scaler["spec"]["scaleTargetRef"]
        if target["name"] not in by_kind.get(target["kind"], {}):
            fault(f"HorizontalPodAutoscaler/{name}: {target['name']} is not there")
    monitors = by_kind.get("ServiceMonitor", {})
    for name, monitor in monitors.items():
        labels = monitor["spec"]["selector"]["matchLabels"]
        found = [s for s in by_kind["Service"].values() if labels.items() <= s["metadata"]["labels"].items()]
        for endpoint in monitor["spec"]["endpoints"]:
            if not any(endpoint["port"] in {p["name"] for p in s["spec"]["ports"]} for s in found):
                fault(f"ServiceMonitor/{name}: no service has the port {endpoint['port']}")
    maps = by_kind.get("ConfigMap", {})
    known_secrets = {s["metadata"]["name"]: s["stringData"] for s in secrets}
    for name, workload in workloads.items():
        spec = template(workload)["spec"]
        if spec.get("automountServiceAccountToken") is not False:
            fault(f"{name}: its pods get a token for the Kubernetes API")
        for volume in spec.get("volumes", []):
            if "configMap" in volume and volume["configMap"]["name"] not in maps:
                fault(f"{name}: there is no ConfigMap {volume['configMap']['name']}")
            if "secret" in volume and volume["secret"]["secretName"] not in known_secrets:
                fault(f"{name}: make-secrets.sh makes no {volume['secret']['secretName']}")
        for container in spec["containers"]:
            for source in container.get("envFrom", []):
                if "configMapRef" in source and source["configMapRef"]["name"] not in maps:
                    fault(f"{name}: there is no ConfigMap {source['configMapRef']['name']}")
                if "secretRef" in source and source["secretRef"]["name"] not in known_secrets:
                    fault(f"{name}: make-secrets.sh makes no {source['secretRef']['name']}")
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference and reference["key"] not in known_secrets.get(reference["name"], {}):
                    fault(f"{name}: make-secrets.sh makes no {reference['name']}.{reference['key']}")
                reference = variable.get("valueFrom", {}).get("configMapKeyRef")
                if reference and reference["key"] not in maps.get(reference["name"], {}).get("data", {}):
                    fault(f"{name}: there is no {reference['name']}.{reference['key']}")
            if container["securityContext"].get("allowPrivilegeEscalation") is not False or "memory" not in container["resources"]["limits"]:
                fault(f"{name}: may escalate, or has no memory limit")
            if workload["kind"] != "Job":
                alive, ready = container.get("livenessProbe"), container.get("readinessProbe")
                if not alive or not ready:
                    fault(f"{name}: not both probes")
                elif name in ALIVE_OF and (alive["httpGet"]["path"], ready["httpGet"]["path"]) != ALIVE_OF[name]:
                    fault(f"{name}: alive and ready are {alive['httpGet']['path']} and {ready['httpGet']['path']}")
            if name in {"control-api", "edge-gateway", "srs"} and "preStop" not in container.get("lifecycle", {}):
                fault(f"{name}: nothing before it stops")
    srs = workloads["srs"]
    script = template(srs)["spec"]["containers"][0]["args"][0]
    if "EDGE_HOOKS_SERVICE_HOST" not in script or template(srs)["spec"].get("enableServiceLinks") is False:
        fault("srs: its hooks have no numeric address")
    if "edge-hooks" not in by_kind["Service"] or by_kind["Service"]["edge-hooks"]["spec"].get("clusterIP") == "None":
        fault("srs: edge-hooks has no ClusterIP")
    listed = {entry.split(":")[0] for entry in known_secrets["keystone-control"]["NODES_BOOTSTRAP"].split(",")}
    for index in range(srs["spec"]["replicas"]):
        if f"srs-{index}" not in listed or f"srs-{index}" not in known_secrets["keystone-nodes"]:
            fault(f"srs-{index} has no secret")
    udp = [p["port"] for s in by_kind["Service"].values() if s["spec"].get("type") == "LoadBalancer" for p in s["spec"]["ports"] if p.get("protocol") == "UDP"]
    if not {8000, 10080} <= set(udp):
        fault("no UDP load balancer for SRT and WebRTC")
    for copy, original in [("Caddyfile", "Caddyfile.option-a"), ("srs.conf", "srs.conf.container")]:
        if (DEPLOY / "k8s/base" / copy).read_bytes() != (DEPLOY / original).read_bytes():
            fault(f"deploy/k8s/base/{copy} is no copy of deploy/{original}: cp deploy/{original} deploy/k8s/base/{copy}")
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main(sys.argv[1])
