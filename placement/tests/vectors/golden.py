#!/usr/bin/env python3
"""Writes ring.tsv: the ring once more, by another hand, so that two programs have to agree (needs PyPI's `xxhash`).

Columns: set of nodes, key, the first three owners. The file is frozen: a change of the ring that alters a line moves live streams.
"""
import bisect
import xxhash

POINTS_PER_WEIGHT = 160
POINT_SEED = int.from_bytes(b"ks.point", "big")
KEY_SEED = int.from_bytes(b"ks.key.1", "big")

SETS = {
    "one": {"solo": 1},
    "two": {"srs-a": 1, "srs-b": 1},
    "weighted": {"small": 1, "double": 2, "triple": 3, "large": 10, "huge": 100},
    "fifty": {f"node-{number:03}": 1 for number in range(50)},
}
KEYS = ["", "a", "cam1", "live", "x" * 64] + [f"stream{number:04}" for number in range(60)]


def ring(nodes):
    points = []
    for place, (node, weight) in enumerate(sorted(nodes.items())):
        own = xxhash.xxh3_64_intdigest(node.encode(), seed=POINT_SEED)
        for number in range(weight * POINTS_PER_WEIGHT):
            points.append((xxhash.xxh3_64_intdigest(number.to_bytes(4, "big"), seed=own), place, node))
    return sorted(points)


def owners(points, key, count):
    at = bisect.bisect_left(points, (xxhash.xxh3_64_intdigest(key.encode(), seed=KEY_SEED),))
    found = []
    for _, _, node in points[at:] + points[:at]:
        if node not in found:
            found.append(node)
        if len(found) == count:
            break
    return found


with open("ring.tsv", "w") as out:
    for name, nodes in SETS.items():
        points = ring(nodes)
        for key in KEYS:
            out.write("\t".join([name, key, ",".join(owners(points, key, 3))]) + "\n")
