#!/usr/bin/env python3
"""Alerts, their tests, runbooks and dashboards belong together, and name only metrics that docs/metrics.md has. One line a fault."""
import json
import pathlib
import re
import sys

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
DOCS = DEPLOY.parent / "docs"
# What Prometheus, its client library and SRS bring.
FOREIGN = re.compile(r"up|process_\w+|srs_\w+")


def metrics(expression):
    """Names of metrics in a query; a regular expression of names is looked at as its alternatives."""
    for braces in re.findall(r'__name__=~"([^"]+)"', expression):
        prefix, rest = braces.split("(", 1)
        words, suffix = rest.split(")", 1)
        yield from (prefix + word + suffix for word in words.split("|"))
    bare = re.sub(r'"[^"]*"', '""', expression)
    for name in re.findall(r"\b(?:keystone|srs|process)_\w+", bare):
        if name != "keystone_control":
            yield name


def main():
    faults = []
    rows = re.findall(r"^\| `(keystone_\w+)` \| (\w+) \| (.*?) \|", (DOCS / "metrics.md").read_text(), re.M)
    kinds = {name: kind for name, kind, _ in rows}
    labels = {name: set(re.findall(r"`(\w+)`", words)) for name, _, words in rows}

    def known(name):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        return FOREIGN.fullmatch(name) or name in kinds or kinds.get(base) == "histogram"

    def look(where, expression):
        for name in metrics(expression):
            if not known(name):
                faults.append(f"{where}: docs/metrics.md has no {name}")
        for name, inside in re.findall(r"(keystone_\w+)\{([^}]*)\}", expression):
            base = name if name in labels else re.sub(r"_(bucket|count|sum)$", "", name)
            for label in re.findall(r"(\w+)\s*[=!]~?\s*\"", inside):
                if label not in labels.get(base, set()) | {"job", "instance", "le", "exported_job"}:
                    faults.append(f"{where}: {name} has no label {label}")

    rules = [rule for group in yaml.safe_load((DEPLOY / "prometheus/rules.yml").read_text())["groups"] for rule in group["rules"]]
    names = {rule["alert"] for rule in rules}
    tests = yaml.safe_load((DEPLOY / "prometheus/rules.test.yml").read_text())["tests"]
    fires = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    rests = {case["alertname"] for test in tests for case in test["alert_rule_test"] if not case.get("exp_alerts")}
    pages = {page.stem for page in (DOCS / "runbooks").glob("Keystone*.md")}
    index = (DOCS / "runbooks/README.md").read_text()
    for rule in rules:
        name = rule["alert"]
        look(name, rule["expr"])
        if not rule["annotations"]["runbook_url"].endswith(f"/runbooks/{name}.html"):
            faults.append(f"{name}: its runbook_url is another's")
        if rule["labels"]["severity"] not in {"info", "warning", "critical"}:
            faults.append(f"{name}: severity {rule['labels']['severity']}")
        if f"[{name}]({name}.md) | {rule['labels']['severity']}" not in index:
            faults.append(f"{name}: docs/runbooks/README.md does not list it so")
    for what, have in [("test in which it fires", fires), ("test in which it rests", rests), ("runbook", pages)]:
        faults += [f"{name}: no {what}" for name in sorted(names - have)]
    faults += [f"docs/runbooks/{page}.md is of no alert" for page in sorted(pages - names)]
    uids = set()
    for file in sorted((DEPLOY / "grafana").glob("*.json")):
        board = json.loads(file.read_text())
        ids = [panel["id"] for panel in board["panels"]]
        if board["uid"] in uids or board["uid"] != file.stem or len(ids) != len(set(ids)):
            faults.append(f"{file.name}: its uid or a panel's id is taken")
        uids.add(board["uid"])
        for panel in board["panels"]:
            if panel["type"] != "row" and not panel.get("targets"):
                faults.append(f"{file.name} / {panel['title']}: asks nothing")
            for target in panel.get("targets", []):
                look(f"{file.name} / {panel['title']}", target["expr"])
    kustomization = (DEPLOY / "grafana/kustomization.yaml").read_text()
    faults += [f"deploy/grafana/kustomization.yaml lacks {uid}.json" for uid in sorted(uids) if f"- {uid}.json" not in kustomization]
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main()
