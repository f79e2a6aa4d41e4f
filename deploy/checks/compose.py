#!/usr/bin/env python3
"""Renders a Compose file as `docker compose config` would, as JSON, and checks what its schema cannot say.

    compose.py render FILE [OVERRIDE...]      the merged, interpolated model on standard output
    compose.py check FILE [OVERRIDE...]       what must hold of it; one line a fault, exit 1 if there is one
    compose.py variables                      .env.example against docs/config.md and the Compose files

Names are filled in from deploy/.env.example with a value for everything that is required.
"""
import ipaddress
import json
import pathlib
import re
import sys

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
# Ports that nobody outside may reach: SRS's API and HTTP, control-api, the stores, Caddy's inner two.
PRIVATE = {1985, 8080, 8081, 9972, 5432, 6379, 8880, 8881}
REQUIRED = ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "JWT_SECRET", "SRS_NODE_SECRET", "SRS_NODE_SECRET_1", "SRS_NODE_SECRET_2", "GRAFANA_PASSWORD"]
APP = {"control-api", "edge-gateway", "keystone"}


class Override(list):
    """A list that replaces instead of being added to (`!override`)."""


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("!override", lambda loader, node: Override(loader.construct_sequence(node, deep=True)))


def interpolate(text, env, path=""):
    """${NAME}, ${NAME:-word}, ${NAME:+word}, ${NAME:?why}, nested; $$ is a dollar."""
    out, i = [], 0
    while i < len(text):
        if text.startswith("$$", i):
            out.append("$")
            i += 2
        elif text.startswith("${", i):
            depth, j = 1, i + 2
            while depth:
                if j >= len(text):
                    sys.exit(f"{path}: unclosed brace in {text!r}")
                depth += {"{": 1, "}": -1}.get(text[j], 0)
                j += 1
            name, mode, word = re.fullmatch(r"([A-Z_0-9]+)(?::([-+?])(.*))?", text[i + 2 : j - 1], re.S).groups()
            value = env.get(name, "")
            if mode == "-" and not value:
                value = interpolate(word, env, path)
            elif mode == "+":
                value = interpolate(word, env, path) if value else ""
            elif mode == "?" and not value:
                sys.exit(f"{path}: {name}: {word}")
            out.append(value)
            i = j
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def fill(value, env, path=""):
    if isinstance(value, str):
        return interpolate(value, env, path)
    if isinstance(value, dict):
        return {key: fill(item, env, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return type(value)(fill(item, env, path) for item in value)
    return value


def merge(base, over):
    if isinstance(base, dict) and isinstance(over, dict):
        return {key: merge(base[key], over[key]) if key in base and key in over else over.get(key, base.get(key)) for key in {**base, **over}}
    if isinstance(over, Override):
        return list(over)
    if isinstance(base, list) and isinstance(over, list):
        return base + over
    return over


def example():
    """Every name of .env.example with its value; `#NAME=` lines are names with a default."""
    names = {}
    for line in (DEPLOY / ".env.example").read_text().splitlines():
        if found := re.fullmatch(r"(#?)([A-Z][A-Z0-9_]+)=(.*)", line):
            names[found[2]] = "" if found[1] else found[3]
    return names


def model(files, **settings):
    env = {**example(), **{name: name.lower() * 3 for name in REQUIRED}, **settings}
    merged = {}
    for file in files:
        merged = merge(merged, yaml.load(pathlib.Path(file).read_text(), Loader))
    merged = {key: value for key, value in merged.items() if not key.startswith("x-")}
    return fill(merged, env)


def published(service):
    for port in service.get("ports", []):
        outside, inside = port.rsplit(":", 1)
        number, _, kind = inside.partition("/")
        yield int(outside.rsplit(":", 1)[-1]), int(number), kind or "tcp"


def check(files):
    whole, faults = model(files), []
    fault = faults.append
    (subnet,) = (ipaddress.ip_network(c["subnet"]) for c in whole["networks"]["keystone"]["ipam"]["config"])
    drawn = ipaddress.ip_network(whole["networks"]["keystone"]["ipam"]["config"][0]["ip_range"])
    seen, fixed = {}, {}
    for name, service in whole["services"].items():
        is_app = service["command"][0] in APP if "command" in service else False
        one_off = "profiles" in service
        for field in ["image", "security_opt", "restart", "logging"]:
            if field not in service:
                fault(f"{name}: no {field}")
        if not one_off and "memory" not in service.get("deploy", {}).get("resources", {}).get("limits", {}):
            fault(f"{name}: no memory limit")
        if not one_off and name != "web" and "healthcheck" not in service:
            fault(f"{name}: no healthcheck")
        if is_app and not (service.get("read_only") and service.get("cap_drop") == ["ALL"]):
            fault(f"{name}: writes to its image or keeps capabilities")
        for outside, inside, kind in published(service):
            if inside in PRIVATE and not (inside == 8082):
                fault(f"{name}: publishes {inside}")
            if (outside, kind) in seen:
                fault(f"{name}: port {outside}/{kind} is also {seen[outside, kind]}'s")
            seen[outside, kind] = name
        if isinstance(service["networks"], dict):
            address = ipaddress.ip_address(service["networks"]["keystone"]["ipv4_address"])
            if address not in subnet or address in drawn or address in fixed.values():
                fault(f"{name}: {address} is outside {subnet}, in {drawn}, or taken")
            fixed[name] = address
        environment = service.get("environment", {})
        for variable, value in environment.items():
            if variable != "SRS_HEARTBEAT_URL" and "_ON_" not in variable:
                continue
            host = re.match(r"http://([0-9.]+):(\d+)/v1/hooks/", value)
            if not host or ipaddress.ip_address(host[1]) not in subnet:
                fault(f"{name}: {variable} is no numeric address on the network: {value}")
            elif f"/{environment['SRS_SERVER_ID']}/" not in value:
                fault(f"{name}: {variable} names another node")
        if "SRS_SERVER_ID" in environment:
            if sum("_ON_" in key for key in environment) != 7:
                fault(f"{name}: not all seven hooks are set")
            if environment["SRS_DEVICE_IP"] != str(fixed.get(name)):
                fault(f"{name}: SRS_DEVICE_IP is not its own address")
            secret = environment["SRS_HEARTBEAT_URL"].rsplit("/", 1)[1]
            pair = f"{environment['SRS_SERVER_ID']}:{secret}"
            for other, controls in whole["services"].items():
                if pair not in controls.get("environment", {}).get("NODES_BOOTSTRAP", pair).split(","):
                    fault(f"{other}: NODES_BOOTSTRAP lacks {name} or has another secret")
    for name, service in whole["services"].items():
        for address in re.findall(r"http://([0-9.]+):", json.dumps(service.get("environment", {}))):
            if ipaddress.ip_address(address) not in fixed.values():
                fault(f"{name}: nobody has {address}")
    wanted = {(80, "tcp"), (443, "tcp"), (1935, "tcp"), (8083, "tcp"), (8000, "udp"), (10080, "udp")}
    for port in wanted - set(seen):
        fault(f"nobody publishes {port[0]}/{port[1]}")
    secrets = [s["environment"]["SRS_HEARTBEAT_URL"].rsplit("/", 1)[1] for s in whole["services"].values() if "SRS_SERVER_ID" in s.get("environment", {})]
    if len(set(secrets)) < len(secrets):
        fault("two nodes share a secret")
    relay = {s["environment"]["WEBRTC_RELAY"] for n, s in whole["services"].items() if "EDGE_RTMP_LISTEN" in s.get("environment", {})}
    owner = seen.get((8000, "udp"), "")
    if owner.startswith("srs") != (relay == {"off"}):
        fault(f"8000/udp is {owner}'s while WEBRTC_RELAY is {relay}")
    public = model(files, KEYSTONE_DOMAIN="media.example", PUBLIC_IP="203.0.113.7")["services"]
    everything = json.dumps(public)
    for word in ["https://media.example", "rtmp://media.example:1935", "srt://media.example:10080", '"KEYSTONE_SITE": "media.example"', "203.0.113.7"]:
        if word not in everything:
            fault(f"KEYSTONE_DOMAIN and PUBLIC_IP do not make {word}")
    local = json.dumps(model(files)["services"])
    if "https://" in local:
        fault("without KEYSTONE_DOMAIN there is an https address")
    return faults


def variables():
    names, faults = set(example()), []
    page = (DEPLOY.parent / "docs/config.md").read_text().split("## keystone (one machine)")[0]
    documented = {name for row in page.splitlines() if row.startswith("| `") for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row.split("|")[1])}
    used = set()
    for file in DEPLOY.glob("docker-compose.*.yml"):
        if "dev" not in file.name:
            used |= set(re.findall(r"\$\{([A-Z0-9_]+)", file.read_text()))
    faults += [f".env.example lacks {name}, which docs/config.md has" for name in sorted(documented - names)]
    faults += [f".env.example lacks {name}, which a Compose file reads" for name in sorted(used - names)]
    option_a = (DEPLOY / "docker-compose.option-a.yml").read_text()
    cluster = (DEPLOY / "docker-compose.cluster.yml").read_text() + (DEPLOY / "docker-compose.observe.yml").read_text()
    faults += [f"docker-compose.option-a.yml never passes on {name}" for name in sorted(documented) if f"{name}:" not in option_a]
    faults += [f".env.example has {name}, which nobody reads" for name in sorted(names) if name not in option_a + cluster]
    return faults


def main():
    command, *files = sys.argv[1:]
    if command == "render":
        json.dump(model(files), sys.stdout, indent=1)
        return
    faults = variables() if command == "variables" else check(files)
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main()
