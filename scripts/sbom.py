#!/usr/bin/env python3
"""Writes a CycloneDX document of what is linked into the program, from vendor/manifest, of the npm
packages in the page (web/package-lock.json), and of the data that `make run` gives it. What only
builds or tests need is left out."""
import base64
import hashlib
import json
import sys
import uuid
from urllib.parse import quote


def read_manifest(path):
    libs = []
    for line in open(path, encoding="utf-8"):
        word, _, rest = line.strip().partition(" ")
        if word.startswith("["):
            libs.append({"name": word.strip("[]"), "sums": []})
        elif word == "sha256":
            libs[-1]["sums"].append(rest.split())
        elif word and not word.startswith("#"):
            libs[-1][word] = rest.strip()
    return libs


def component(lib):
    # The first known file; package_version_arch.deb or package_version.orig.tar.xz.
    sha256, file = lib["sums"][0]
    if lib["kind"] == "npm":
        purl = f"pkg:npm/{quote(lib['package'], safe='/')}@{lib['version']}"
    elif lib["kind"] == "deb":
        purl = f"pkg:deb/debian/{lib['package']}@{quote(file.rsplit('_', 1)[0].split('_', 1)[1], safe='.-')}"
    else:
        purl = f"pkg:deb/debian/{lib['package']}@{quote(lib['version'], safe='.-')}?arch=source"
    licence = lib["licence"]
    return {
        "type": "data" if "when" in lib else "library",
        "bom-ref": lib["name"],
        "name": lib["name"],
        "version": lib["version"],
        "description": lib["why"],
        "licenses": [{"expression": licence} if " " in licence else {"license": {"id": licence}}],
        "scope": "optional" if "when" in lib else "required",
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}],
        "properties": [{"name": f"file:{f}", "value": s} for s, f in lib["sums"]],
    }


def bundled(lock):
    """The packages whose code the page's bundle contains."""
    for path, package in json.load(open(lock, encoding="utf-8"))["packages"].items():
        if path and not package.get("dev"):
            name = path.rsplit("node_modules/", 1)[1]
            alg, _, digest = package["integrity"].partition("-")
            yield {
                "type": "library",
                "bom-ref": name,
                "name": name,
                "version": package["version"],
                "description": "in the page of the admin listener",
                "licenses": [{"license": {"id": package["license"]}}],
                "scope": "required",
                "purl": f"pkg:npm/{quote(name, safe='/')}@{package['version']}",
                "hashes": [{"alg": alg.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}],
            }


def main():
    manifest, lock, version = sys.argv[1:4]
    page = list(bundled(lock))
    libs = [lib for lib in read_manifest(manifest) if lib.get("when") != "test"]
    seed = hashlib.sha256(open(manifest, "rb").read() + open(lock, "rb").read() + version.encode()).hexdigest()
    json.dump({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, seed)}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "hedgerow", "name": "hedgerow",
                                   "version": version, "licenses": [{"license": {"id": "MIT"}}]}},
        "components": [component(lib) for lib in libs] + page,
        "dependencies": [{"ref": "hedgerow", "dependsOn": [lib["name"] for lib in libs if "when" not in lib] +
                          [package["name"] for package in page]}],
    }, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
