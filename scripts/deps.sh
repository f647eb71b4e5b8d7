#!/usr/bin/env bash
# deps.sh - installs what is missing on a Debian machine; quick and silent when nothing is.
#
#   scripts/deps.sh run|web|test|bench|integration
#
# Only missing packages are installed, by apt (with sudo when not root). Node packages come from
# npm's configured registry: web/package-lock.json and tests/package-lock.json into node_modules
# beside them, and where the machine's Node is too old, the npm package `node` into build/node.
set -euo pipefail
cd "$(dirname "$0")/.."

node_min=20.20
node_npm=20.20.2

die() { echo "deps: $*" >&2; exit 1; }

# "what it is recognised by"="package": a command, or a path (with *) when it has a slash.
# sqlite3 is what the first minute of README.md looks at the data with.
run=(cc=gcc /usr/include/stdio.h=libc6-dev xz=xz-utils patch=patch sqlite3=sqlite3)
web=(node=nodejs npm=npm)
test=("${run[@]}" "${web[@]}" python3=python3 clang=clang clang-format=clang-format chromium=chromium
    /usr/include/cmocka.h=libcmocka-dev curl=curl git=git
    '/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a=libclang-rt-dev')
bench=("${run[@]}" "${web[@]}" wrk=wrk strace=strace)
integration=("${test[@]}")

have() {
    case $1 in
    */*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

apt_install() {
    local sudo=() get=(apt-get -qq -y -o DPkg::Lock::Timeout=300 --no-install-recommends install)
    command -v apt-get >/dev/null || die "missing: $*; this machine has no apt-get, please install them"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "missing: $*; run as root: apt-get install $*"
        sudo=(sudo)
    fi
    echo "deps: installing ${sudo[*]:+with sudo }$*" >&2
    export DEBIAN_FRONTEND=noninteractive
    "${sudo[@]}" "${get[@]}" "$@" >build/deps.log 2>&1 && return
    "${sudo[@]}" apt-get -qq -o DPkg::Lock::Timeout=300 update >>build/deps.log 2>&1 || true
    "${sudo[@]}" "${get[@]}" "$@" >>build/deps.log 2>&1 && return
    tail -n 20 build/deps.log >&2
    die "apt-get could not install: $*"
}

packages() {
    local -n list=$1
    local entry missing=()
    for entry in "${list[@]}"; do
        have "${entry%=*}" || missing+=("${entry##*=}")
    done
    [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

node_is_new() {
    local v
    v=$("$1" --version 2>/dev/null) || return 1
    [ "$(printf '%s\n' "$node_min" "${v#v}" | sort -V | head -n 1)" = "$node_min" ]
}

node_machine() {
    local bin=$PWD/build/node/node_modules/.bin
    if ! node_is_new node && ! node_is_new "$bin/node"; then
        echo "deps: installing Node $node_npm into build/node" >&2
        mkdir -p build/node
        npm install --prefix build/node --no-save --no-audit --no-fund --loglevel=error "node@$node_npm" >&2
        node_is_new "$bin/node" || die "npm's package node@$node_npm did not give a working Node"
    fi
}

# The packages of $1/package-lock.json, exactly. The copy of the lock file tells make and us that they are there.
node_packages() {
    cmp -s "$1/package-lock.json" "$1/node_modules/.installed" && return
    echo "deps: installing the packages of $1/package.json" >&2
    PATH=$PWD/build/node/node_modules/.bin:$PATH npm ci --prefix "$1" --no-audit --no-fund --loglevel=error >&2
    cp "$1/package-lock.json" "$1/node_modules/.installed"
}

group=${1:-}
case $group in
run | web | test | bench | integration) ;;
*) die "usage: scripts/deps.sh run|web|test|bench|integration" ;;
esac
mkdir -p build
packages "$group"
case $group in
run) ;;
web)
    node_machine
    node_packages web
    touch web/node_modules/.installed # newer than the lock file, whatever came first
    ;;
*)
    node_machine
    node_packages tests
    scripts/vendor.sh test
    ;;
esac
