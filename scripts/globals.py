#!/usr/bin/env python3
"""Looks at our object files: no writable data, and external symbols carry their folder's prefix.

    globals.py OBJECT_FOLDER      (of a build of src/, e.g. build/obj)

Exceptions stand in scripts/globals.allow: `data FILE SYMBOL`, `prefix FOLDER PREFIX...`.
Constants that hold addresses (.data.rel.ro) are read-only when the program runs.
"""
import os
import re
import subprocess
import sys

WRITABLE = re.compile(r"\.(data|bss|tdata|tbss)\b(?!\.rel\.ro)|\*COM\*|COMMON")


def read_allowed():
    data, prefixes = set(), {}
    for line in open("scripts/globals.allow"):
        word, *rest = line.split("#")[0].split() or [""]
        if word == "data":
            data.add(tuple(rest))
        elif word == "prefix":
            prefixes.setdefault(rest[0], []).extend(rest[1:])
    return data, prefixes


def symbols(objects):
    """Yields (object, name, class letter, section, file:line or '')."""
    out = subprocess.run(["nm", "-A", "-l", "-f", "sysv", "--defined-only", *objects],
                         capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        parts = [p.strip() for p in line.split("|")]
        if len(parts) == 7 and ":" in parts[0]:
            obj, name = parts[0].split(":", 1)
            section, _, place = parts[6].partition("\t")
            yield obj, name.strip(), parts[2], section, place


def prefixes_of(source, extra):
    """Folder names on the way, and base names of the files beside `source`."""
    folders = os.path.dirname(source).split("/")[1:]
    files = [f.rsplit(".", 1)[0].replace("_priv", "") for f in os.listdir(os.path.dirname(source))]
    return folders + files + extra.get(folders[0] if folders else "", [])


def main():
    top = sys.argv[1].rstrip("/")
    sources = [os.path.join(d, f) for d, _, fs in os.walk("src") for f in fs if f.endswith(".c")]
    objects = {top + s[len("src"):-2] + ".o": s for s in sorted(sources)}
    missing = [o for o in objects if not os.path.exists(o)]
    if missing:
        print(f"{missing[0]}: not built")
        return 1
    if not objects:
        return 0
    data, extra = read_allowed()
    faults = 0
    for obj, name, letter, section, place in symbols(objects):
        source = objects[obj]
        where = os.path.relpath(place) if place else source
        if WRITABLE.search(section) and letter in "bdBDC":
            if (source, name.split(".")[0]) not in data:
                print(f"{where}: '{name}' is writable data outside scripts/globals.allow")
                faults += 1
        if letter.isupper() and letter in "TDBRVWC" and source != "src/main.c":
            if not name.startswith(tuple(prefixes_of(source, extra))):
                print(f"{where}: external symbol '{name}' lacks the prefix of its folder or file")
                faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
