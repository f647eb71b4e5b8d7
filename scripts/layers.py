#!/usr/bin/env python3
"""Checks who includes whom: src/LAYERS, private headers, vendored headers (vendor/manifest)."""
import os
import re
import sys


def read_layers():
    lines = [line.split() for line in open("src/LAYERS") if line.strip()]
    return {name: rank for rank, names in enumerate(lines) for name in names}


def read_vendored():
    """Returns {header name or prefix ending in /: folders that may include it}."""
    allowed, headers = {}, []
    for line in open("vendor/manifest"):
        word, *rest = line.split() or [""]
        if word == "headers":
            headers = rest
        elif word == "folders":
            allowed.update({h: rest for h in headers})
    return allowed


def sources():
    for top, _, names in os.walk("src"):
        for name in sorted(names):
            if name.endswith((".c", ".h", ".def")):
                yield os.path.relpath(os.path.join(top, name), "src")


def check_ours(path, inc, layers):
    here, there = path.split("/"), inc.split("/")
    if len(there) < 2:
        return f'"{inc}": write includes from src/, as "folder/{inc}"'
    mine, theirs = here[0], there[0]
    if path == "main.c":
        return None if theirs == "app" else f'"{inc}": main.c includes only app/'
    if theirs == "web" and mine == "admin":  # the embedded files of the page
        return None
    if theirs not in layers:
        return f'"{inc}": {theirs} is not in src/LAYERS'
    if mine != theirs and layers[theirs] >= layers[mine]:
        return f'"{inc}": {theirs} does not lie below {mine} in src/LAYERS'
    if inc.endswith("_priv.h") and os.path.dirname(path) != os.path.dirname(inc):
        return f'"{inc}": a private header is included only from its own folder'
    if mine == theirs and len(here) > 2 and len(there) > 2 and here[1] != there[1]:
        if there[1] != "migrations":
            return f'"{inc}": {mine}/{here[1]} and {mine}/{there[1]} are siblings'
    return None


def check_vendored(path, inc, vendored):
    for header, folders in vendored.items():
        if inc == header or (header.endswith("/") and inc.startswith(header)):
            if path.split("/")[0] not in folders:
                return f"<{inc}>: only {' '.join(folders)} may include it (vendor/manifest)"
    return None


def main():
    layers, vendored = read_layers(), read_vendored()
    faults = 0
    for path in sources():
        if path != "main.c" and path.split("/")[0] not in layers:
            print(f"src/{path}:1: its folder is not in src/LAYERS")
            faults += 1
            continue
        for number, line in enumerate(open("src/" + path, encoding="utf-8"), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            ours = match[1] == '"'
            fault = (check_ours(path, match[2], layers) if ours
                     else check_vendored(path, match[2], vendored))
            if fault:
                print(f"src/{path}:{number}: {fault}")
                faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
