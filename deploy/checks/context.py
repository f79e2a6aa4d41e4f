#!/usr/bin/env python3
"""What Dockerfile.app's build sees, after .dockerignore, is a whole workspace: Cargo reads it, and every file that code includes is there."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def seen(path, rules):
    """The last rule that is the path or a folder above it decides; `**/` is any folder."""
    parts, kept = path.split("/"), True
    for rule in rules:
        keep, pattern = rule.startswith("!"), rule.lstrip("!")
        above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
        hit = pattern == "*" or pattern in above or (pattern.startswith("**/") and pattern[3:] in parts)
        if hit:
            kept = keep
    return kept


def main():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    context = {path for path in tracked if seen(path, rules)}
    faults = [f"{name} is in the context" for name in sorted(context) if "/tests/" not in name and re.search(r"(^|/)\.env$|node_modules|\.pem$|\.key$", name)]
    members = re.search(r"members = \[(.*?)\]", (ROOT / "Cargo.toml").read_text(), re.S)[1]
    for name in ["Cargo.toml", "Cargo.lock"] + [f"{member}/Cargo.toml" for member in re.findall(r'"([^"]+)"', members)]:
        if name not in context:
            faults.append(f"the context lacks {name}")
    for name in sorted(context):
        if not name.endswith(".rs") or "/tests/" in name or "/benches/" in name or name.startswith("bench/"):
            continue
        code = (ROOT / name).read_text().split("#[cfg(test)]\nmod ")[0]
        for included in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', code):
            target = (ROOT / name).parent.joinpath(included).resolve()
            if str(target.relative_to(ROOT)) not in context:
                faults.append(f"{name} includes {included}, which the context lacks")
        for folder in re.findall(r'embed_migrations!\("([^"]+)"\)', code):
            if not any(path.startswith("control/migrations/") for path in context):
                faults.append(f"{name} embeds {folder}, which the context lacks")
    print("\n".join(faults))
    sys.exit(1 if faults else 0)


main()
