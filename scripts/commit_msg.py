#!/usr/bin/env python3
"""Checks the form of commit subjects: `folder: do this and that`.

    commit_msg.py [RANGE]     e.g. main.. ; default: the last commit
    commit_msg.py FILE        a message file, as git hands it to a commit-msg hook
"""
import os
import re
import subprocess
import sys

LENGTH_MAX = 65
FORM = re.compile(r"^[a-z0-9][a-z0-9_./, -]*: [a-z0-9`\"'_/.<-].*[^.\s]$")


def fault(subject):
    if re.match(r"^(Merge|Revert|fixup!|squash!) ?", subject):
        return None
    if len(subject) > LENGTH_MAX:
        return f"{len(subject)} characters, {LENGTH_MAX} is the most"
    if not FORM.match(subject):
        return "not of the form `folder: do something`, lower case, no full stop"
    return None


def subjects(what):
    if os.path.isfile(what):
        yield what, open(what, encoding="utf-8").readline().rstrip("\n")
        return
    limit = [] if ".." in what else ["-n", "1"]
    out = subprocess.run(["git", "log", "--format=%h%x09%s", *limit, what],
                         capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        yield tuple(line.split("\t", 1))


def main():
    faults = 0
    for where, subject in subjects(sys.argv[1] if len(sys.argv) > 1 else "HEAD"):
        why = fault(subject)
        if why:
            print(f"{where}: {subject!r}: {why}")
            faults += 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
