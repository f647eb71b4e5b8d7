#!/usr/bin/env python3
"""Runs test suites, shows failures, and ends with the line `N passed, M failed, K skipped`.

    run.py [options] SUITE...      SUITE: lint unit fuzz scenario clients page integration

Every cmocka case, every Node test, every lint step and every fuzz corpus counts as one test. A
suite that breaks (crash, time-out, not built) counts as one failure more.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

LINT = ["layers", "globals", "tidy", "format", "headers"]
TIME_LIMIT_S = 600
MAKE_ENV = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # a make started from here is not a part of ours


class Result:
    def __init__(self, name):
        self.name, self.passed, self.failed, self.skipped, self.text = name, 0, 0, 0, ""

    def fail(self, text):
        self.failed += 1
        self.text += text.rstrip() + "\n"
        return self


def run(cmd, env=None):
    """Returns (exit code or None after the time limit, output); leaves no process behind."""
    env = {k: v for k, v in {**os.environ, **(env or {})}.items() if k not in MAKE_ENV}
    child = subprocess.Popen(cmd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        out, _ = child.communicate(timeout=TIME_LIMIT_S)
        return child.returncode, out
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return None, child.communicate()[0] + f"\nkilled after {TIME_LIMIT_S} s"


def tail(text, lines=60):
    return "\n".join(text.rstrip().splitlines()[-lines:])


def sanitizer_env(san):
    common = "halt_on_error=1:exitcode=99"
    return {"ASAN_OPTIONS": common + ":detect_leaks=1:abort_on_error=0",
            "LSAN_OPTIONS": "suppressions=" + os.path.abspath("tests/lib/run.lsan") + ":print_suppressions=0",
            "UBSAN_OPTIONS": common + ":print_stacktrace=1",
            "TSAN_OPTIONS": common + ":suppressions=" + os.path.abspath("tests/lib/run.tsan")} if san else {}


def unit(prog, name, opt):
    res = Result(name)
    if not os.access(prog, os.X_OK):
        return res.fail("not built")
    report = prog + ".xml"
    for old in glob.glob(glob.escape(prog) + ".xml*"):
        os.remove(old)
    env = {"CMOCKA_MESSAGE_OUTPUT": "XML", "CMOCKA_XML_FILE": report + ".%g", **sanitizer_env(opt.san)}
    code, out = run([prog], env)
    for path in sorted(glob.glob(glob.escape(report) + ".*")):
        try:
            cases = xml.fromstring(open(path, "rb").read().decode("utf-8", "replace")).iter("testcase")
        except xml.ParseError as error:
            res.fail(f"{path}: {error}")
            continue
        for case in cases:
            bad = case.find("failure") if case.find("failure") is not None else case.find("error")
            if bad is not None:
                res.fail(f"{case.get('name')}:\n{bad.text or ''}")
            elif case.find("skipped") is not None:
                res.skipped += 1
            else:
                res.passed += 1
    if code != 0 and res.failed == 0:
        res.fail(f"ended with {'a time-out' if code is None else f'code {code}'}\n{tail(out)}")
    elif res.failed:
        res.text += tail(out, 20)
    elif res.passed + res.skipped == 0:
        res.fail("reported no test case")
    return res


def node(path, name, opt):
    res = Result(name)
    env = {"HEDGEROW_BIN": os.path.abspath(opt.out + "/hedgerow"),
           "HEDGEROW_TEST_BIN": os.path.abspath(opt.out + "/test/hedgerow"),
           "SHIM_DIR": os.path.abspath(opt.shims), "HEDGEROW_SAN": opt.san, **sanitizer_env(opt.san)}
    if not os.access(env["HEDGEROW_BIN"], os.X_OK):
        return res.fail("the program is not built")
    code, out = run([opt.node, "--test", "--test-reporter=tap", path], env)
    count = {k: int(n) for k, n in re.findall(r"^# (pass|fail|cancelled|skipped|todo) (\d+)$", out, re.M)}
    res.passed = count.get("pass", 0)
    res.failed = count.get("fail", 0) + count.get("cancelled", 0)
    res.skipped = count.get("skipped", 0) + count.get("todo", 0)
    if res.failed:
        res.text = "\n".join(tap_failures(out)) or tail(out)
    elif code != 0:
        res.fail(f"ended with {'a time-out' if code is None else f'code {code}'}\n{tail(out)}")
    elif res.passed + res.skipped == 0:
        res.fail("reported no test")
    return res


def tap_failures(out):
    """The `not ok` points with their details, and what was printed by the file (`# ` lines)."""
    shown = False
    for line in out.splitlines():
        if re.match(r"\s*(not )?ok \d+", line):
            shown = line.lstrip().startswith("not ok")
        if shown or (line.startswith("# ") and not line.startswith("# Subtest")):
            yield line
        if line.strip() == "...":
            shown = False


def lint(step, name, opt):
    res = Result(name)
    code, out = run(["make", "-s", "--no-print-directory", "lint-" + step])
    if code != 0:
        return res.fail(tail(out, 200))
    res.passed, res.text = 1, out
    return res


def fuzz(prog, name, opt):
    """Replays the committed corpus; looks for nothing new."""
    res = Result(name)
    if opt.no_fuzz:
        res.skipped, res.text = 1, opt.no_fuzz
        return res
    if not os.access(prog, os.X_OK):
        return res.fail("not built")
    corpus = "tests/fuzz/corpus/" + os.path.basename(prog)[len("fuzz_"):]
    files = sorted(f for f in glob.glob(corpus + "/**", recursive=True) if os.path.isfile(f))
    if not files:
        return res.fail(f"{corpus}: no corpus")
    code, out = run([prog, "-runs=0", f"-artifact_prefix={os.path.dirname(prog)}/", corpus])
    if code != 0:
        return res.fail(tail(out))
    res.passed = 1
    return res


def tests_of(suite, opt):
    if suite == "lint":
        return [(lint, "lint " + s, s) for s in LINT]
    if suite == "unit":
        return [(unit, p[len("tests/"):-2], opt.out + "/test/" + p[len("tests/"):-2])
                for p in sorted(glob.glob("tests/unit/**/test_*.c", recursive=True))
                if not opt.only or p.startswith(f"tests/unit/{opt.only}/")]
    if suite == "fuzz":
        return [(fuzz, p[len("tests/"):-2], opt.fuzz + "/" + os.path.basename(p)[:-2])
                for p in sorted(glob.glob("tests/fuzz/fuzz_*.c"))]
    return [(node, p[len("tests/"):], p)
            for p in sorted(glob.glob(f"tests/{suite}/**/*.test.js", recursive=True))
            if "/node_modules/" not in p and (not opt.only or opt.only in os.path.basename(p))]


def main():
    arg = argparse.ArgumentParser()
    arg.add_argument("--out", default="build", help="folder of the build variant")
    arg.add_argument("--fuzz", default="build/fuzz", help="folder of the fuzz programs")
    arg.add_argument("--shims", default="build/crash", help="folder of the preloaded libraries")
    arg.add_argument("--no-fuzz", default="", help="why the fuzz programs cannot be built")
    arg.add_argument("--node", default="node")
    arg.add_argument("--san", default="")
    arg.add_argument("--jobs", type=int, default=2)
    arg.add_argument("--only", default="")
    arg.add_argument("--build-status", type=int, default=0)
    arg.add_argument("suites", nargs="+")
    opt = arg.parse_args()
    os.chdir(os.path.dirname(os.path.abspath(__file__)) + "/../..")
    total = Result("all")
    if opt.build_status:
        total.failed += 1
        print("FAIL build, see above")
    todo = [t for s in opt.suites for t in tests_of(s, opt)]
    if not todo:
        total.failed += 1
        print("FAIL there is no such test")
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(opt.jobs) as pool:
        for res in pool.map(lambda t: t[0](t[2], t[1], opt), todo):
            word = "FAIL" if res.failed else "ok  " if res.passed else "skip"
            print(f"{word} {res.name}: {res.passed} passed, {res.failed} failed, {res.skipped} skipped")
            if res.text:
                print("     " + res.text.rstrip().replace("\n", "\n     "))
            sys.stdout.flush()
            total.passed += res.passed
            total.failed += res.failed
            total.skipped += res.skipped
    print(f"({time.monotonic() - start:.1f} s)")
    print(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
