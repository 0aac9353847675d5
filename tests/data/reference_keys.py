#!/usr/bin/env python3
"""Every key path of the reference's own schema, each with values that the schema takes there.

Usage, with the reference 2026.9.6 installed (npm install openclaw@2026.9.6):
  openclaw config schema | tests/data/reference_keys.py > tests/data/reference_keys.txt

Sections named in WHOLE are listed key by key, of all others the section itself. `*` stands for any
key of a map, `[]` for any element of a list, as in src/config/table/keys.rs.
"""
import json
import sys

WHOLE = "agents cron env gateway hooks logging memory messages models secrets session skills tools"
# Where the schema says "a string" and the reference wants more than that.
TEXTS = {
    "baseUrl": "http://h/v1", "gateway.remote.url": "wss://h:1", "customBindHost": "127.0.0.1",
    "allowedOrigins[]": "https://h:1", "tlsFingerprint": "ab" * 32, "userTimezone": "UTC",
    "scopes[]": "operator.read", "identityScopes.*[]": "operator.read", "retention": "1d",
    "sessionRetention": "1d", "pruneAfter": "1d", "maxBytes": "1mb", "every": "1h",
    "trustedProxies[]": "10.0.0.1", "sessionKey": "hook:x", "defaultSessionKey": "hook:x",
    "model": "p/m", "primary": "p/m", "fallbacks[]": "p/m", "start": "08:00", "end": "22:00",
    "autoApproveCidrs[]": "10.0.0.0/8", "strictTransportSecurity": "max-age=1",
}
PATTERNS = {"^[A-Z][A-Z0-9_]{0,127}$": "A_NAME"}


def parts(node):
    for word in ("anyOf", "oneOf", "allOf"):
        for part in node.get(word, []):
            yield from parts(part)
    yield node


def text(path, node):
    for end in (path, path.rsplit(".", 2)[-2] + "." + path.rsplit(".", 1)[-1] if "." in path else "",
                path.rsplit(".", 1)[-1]):
        if end in TEXTS:
            return TEXTS[end]
    return PATTERNS.get(node.get("pattern"), "x")


def values(path, node):
    for part in parts(node):
        kinds = part.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if "const" in part:
            yield part["const"]
        elif "enum" in part:
            yield from part["enum"]
        elif "boolean" in kinds:
            yield from (True, False)
        elif "integer" in kinds or "number" in kinds:
            whole = "integer" in kinds
            least = part.get("minimum", part.get("exclusiveMinimum", 0) + 1)
            most = part.get("maximum", 10**9)
            yield max(least, -1)
            if most < 10**9:
                yield most
            elif not whole:
                yield least + 0.5
        elif "string" in kinds:
            yield text(path, part)


def walk(node, path, found):
    section = path.split(".")[0]
    whole = section in WHOLE.split()
    if path:
        known = found.setdefault(path, [])
        known += [it for it in values(path, node) if it not in known]
    if path and not whole:
        return
    for part in parts(node):
        for name, child in part.get("properties", {}).items():
            walk(child, f"{path}.{name}" if path else name, found)
        more = part.get("additionalProperties")
        if isinstance(more, dict) and more:
            walk(more, path + ".*", found)
        items = part.get("items")
        if isinstance(items, dict):
            walk(items, path + "[]", found)


def main():
    found = {}
    walk(json.load(sys.stdin), "", found)
    print("# Made by tests/data/reference_keys.py (see its head) from openclaw 2026.9.6. A line is a key path,")
    print("# then after a tab the values of it that are tried, as a JSON array.")
    for path in sorted(found):
        print(path, json.dumps(found[path], separators=(",", ":")), sep="\t")


main()
