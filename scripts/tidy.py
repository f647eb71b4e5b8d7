#!/usr/bin/env python3
"""Small rules of the house: banned calls, leftovers, tabs, headers that nobody includes, binaries.

Prints the ten longest functions and files as well, when they are long; that never fails.
"""
import os
import re
import subprocess
import sys

# Calls that are not allowed, and the one file that may make them (None: nobody).
BANNED = [
    ("strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atof gets alloca", None),
    ("gmtime localtime ctime asctime", None),
    ("malloc calloc realloc free strdup strndup asprintf vasprintf", "src/base/mem.c"),
    ("time gettimeofday clock_gettime", "src/base/clock.c"),
    ("rand srand random srandom drand48 getrandom", "src/base/rand.c"),
]
DOOR = {name: door for names, door in BANNED for name in names.split()}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(DOOR) + r")\s*\(")
LEFT = re.compile(r"\b(FIXME|TODO|XXX)\b")
QUIET = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
BINARY_OK = ("tests/fuzz/corpus/", "tests/data/", "docs/")
LONG_FUNCTION, LONG_FILE = 60, 500


def c_files(*tops):
    return sorted(os.path.join(d, f) for top in tops for d, _, fs in os.walk(top)
                  if "node_modules" not in d for f in fs if f.endswith((".c", ".h", ".def")))


def without_comments(text):
    return QUIET.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def functions(path, text):
    """Yields (lines, path:line name): in our layout a body is `{` ... `}` in the first column."""
    start = None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = " ".join(lines[max(0, start - 4):start])
            names = re.findall(r"(\w+)\(", head)
            yield number - start - 1, f"{path}:{start + 1} {names[-1] if names else ''}"
            start = None


def main():
    faults = []
    longest = []
    included = set()
    for path in c_files("src", "tests"):
        text = open(path, encoding="utf-8").read()
        code = without_comments(text)
        included.update(re.findall(r'#\s*include\s*"([^"]+)"', text))
        for number, (line, bare) in enumerate(zip(text.splitlines(), code.splitlines()), 1):
            if "\t" in line:
                faults.append(f"{path}:{number}: tab")
            if LEFT.search(line):
                faults.append(f"{path}:{number}: {LEFT.search(line)[1]} left behind")
            for call in CALL.findall(bare) if path.startswith("src/") else []:
                if DOOR[call] != path:
                    door = f", only {DOOR[call]} may call it" if DOOR[call] else ""
                    faults.append(f"{path}:{number}: {call}() is banned{door}")
        if path.startswith("src/"):
            longest += functions(path, code)
            longest.append((text.count("\n"), path))
    for path in c_files("src"):
        if path.endswith((".h", ".def")) and path[len("src/"):] not in included:
            faults.append(f"{path}:1: nobody includes this file")
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True).stdout
    for path in filter(None, listed.split("\0")):
        if os.path.isfile(path) and not path.startswith(BINARY_OK):
            if b"\0" in open(path, "rb").read(8000):
                faults.append(f"{path}:1: binary file")
    print("\n".join(faults), end="\n" if faults else "")
    for limit, kind in ((LONG_FUNCTION, " "), (LONG_FILE, "")):
        some = sorted((x for x in longest if (" " in x[1]) == bool(kind) and x[0] > limit), reverse=True)
        for lines, what in some[:10]:
            print(f"long: {lines} lines {what}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
