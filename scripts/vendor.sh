#!/usr/bin/env bash
# vendor.sh - fetches, verifies and builds what vendor/manifest names into build/vendor.
#
#   scripts/vendor.sh               libraries that are missing or have changed; silent when none is
#   scripts/vendor.sh test          the same, and the data that tests need
#   scripts/vendor.sh run           only the data that `make run` gives the program
#   scripts/vendor.sh record NAME   add the checksums of what the pool has now to the manifest
#   scripts/vendor.sh licenses      print the notices of the libraries, for what is given to others
#
# Packages are found by name through apt, with a private state folder: the machine's package lists,
# pins and installed packages are neither used nor changed. The mirror is the machine's own.
# What comes from npm is packed by npm, by name and version, and checked in the same way.
# Downloads stay in build/vendor/cache (VENDOR_CACHE), so a rebuild needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

manifest=vendor/manifest
out=build/vendor
cache=${VENDOR_CACHE:-$out/cache}
cflags=(-O2 -fPIE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -w -ffunction-sections -fdata-sections)

die() { echo "vendor: $*" >&2; exit 1; }

stanza() { awk -v n="[$1]" '/^\[/ { on = $1 == n } on && NF && !/^#/' $manifest; }
field() { stanza "$1" | awk -v k="$2" '$1 == k { $1 = ""; print substr($0, 2) }'; }

# --- apt with a state of its own -----------------------------------------------------------------

# Prints "URI<tab>signed-by" of the distribution's main archive, from one-line or deb822 sources.
machine_mirror() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    (cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true) | awk -v want="$codename" '
        $1 == "deb" {
            opts = ""; key = ""; i = 2
            if ($2 ~ /^\[/) { while ($i !~ /\]$/) opts = opts " " $i++; opts = opts " " $i++ }
            if (match(opts, /signed-by=[^] ]+/)) key = substr(opts, RSTART + 10, RLENGTH - 10)
            for (c = i + 2; c <= NF; c++)
                if ($(i + 1) == want && $c == "main") { print $i "\t" key; exit }
        }'
    awk -v want="$codename" '
        function flush() { if (uri && suite && main && !off) print uri "\t" key
                           uri = key = suite = main = off = "" }
        FNR == 1 || /^[ \t]*$/ { flush() }
        /^#/ { next }
        { k = tolower($1) }
        k == "uris:" { uri = $2 }
        k == "signed-by:" { key = $2 }
        k == "enabled:" { off = tolower($2) == "no" }
        k == "suites:" { for (i = 2; i <= NF; i++) if ($i == want) suite = 1 }
        k == "components:" { for (i = 2; i <= NF; i++) if ($i == "main") main = 1 }
        END { flush() }' /etc/apt/sources.list.d/*.sources 2>/dev/null || true
}

apt_ready=
apt_setup() {
    [ -z "$apt_ready" ] || return 0
    command -v apt-get >/dev/null || die "the libraries come from Debian packages and need apt-get"
    local mirror key suites s a=$PWD/$out/apt
    IFS=$'\t' read -r mirror key < <(machine_mirror | head -n 1) || true
    [ -n "${mirror:-}" ] || die "found no Debian main archive in the machine's apt sources"
    case ${key:-} in /*) key="[signed-by=$key] " ;; *) key= ;; esac
    mkdir -p "$a/lists/partial" "$a/cache/archives/partial" "$cache"
    : >"$a/status"
    suites=$(awk '$1 == "suite" { print $2 }' $manifest | sort -u)
    for s in $suites; do
        echo "deb $key$mirror $s main"
        echo "deb-src $key$mirror $s main"
    done >"$a/sources.list"
    cat >"$a/apt.conf" <<EOF
Dir::Etc::sourcelist "$a/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::status "$a/status";
Dir::State::lists "$a/lists";
Dir::Cache "$a/cache";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
EOF
    [ -z "${1:-}" ] || for s in $1; do echo "APT::Architectures:: \"$s\";"; done >>"$a/apt.conf"
    echo "vendor: reading the package lists" >&2
    apt-get -c "$a/apt.conf" -qq update || die "apt-get update failed, see the lines above"
    apt_ready=$a/apt.conf
}

# Prints "uri file sha256" for each file of library $1 that the pool has; $2 is the architecture.
pool_files() {
    local package suite kind cmd
    package=$(field "$1" package) suite=$(field "$1" suite) kind=$(field "$1" kind)
    if [ "$kind" = deb ]; then
        cmd=(download --print-uris "$package:$2/$suite")
    else
        cmd=(source --download-only --print-uris "$package/$suite")
    fi
    apt-get -c "$apt_ready" -qq "${cmd[@]}" 2>/dev/null | tr -d "'" | sed 's/ [0-9]* SHA256:/ /' |
        grep -E "$(wanted "$kind" '[a-z0-9]+')( |\$)" || true
}

# The file names of one library that we use, as a regular expression.
wanted() {
    case $1 in
    deb) echo "_$2\.deb" ;;
    source) echo '\.(orig|debian)\.tar\.[a-z0-9]+' ;;
    orig | files) echo '\.orig\.tar\.[a-z0-9]+' ;;
    *) die "unknown kind '$1' in $manifest" ;;
    esac
}

# Prints the file name of npm package $1, which is put into the folder $2.
npm_pack() {
    local package version
    package=$(field "$1" package) version=$(field "$1" version)
    command -v npm >/dev/null || die "$1: $package comes from npm, which is not installed"
    npm pack --silent --fetch-retries=1 --fetch-timeout=60000 --pack-destination "$2" "$package@$version" ||
        die "$1: npm could not fetch $package@$version"
}

fetch_npm() {
    local name=$1 part=$out/tmp.$1.npm file sum
    rm -rf "$part"
    mkdir -p "$part" "$cache"
    echo "vendor: fetching $(field "$name" package)" >&2
    file=$(npm_pack "$name" "$part")
    sum=$(sha256sum "$part/$file" | cut -d' ' -f1)
    field "$name" sha256 | grep -qxF "$sum $file" ||
        die "$name: $file (sha256 $sum) is not in $manifest; if you trust it: scripts/vendor.sh record $name"
    mv "$part/$file" "$cache/$file"
    rm -r "$part"
}

# Prints the verified file of library $1 whose name matches $2, if the cache has one.
cached() {
    local sum file
    while read -r sum file; do
        [[ $file =~ $2$ && -f $cache/$file ]] || continue
        sum=$(sha256sum "$cache/$file" | cut -d' ' -f1)
        field "$1" sha256 | grep -qxF "$sum $file" ||
            die "$cache/$file: its sha256 is not in $manifest; remove the file and try again"
        echo "$cache/$file"
        return
    done < <(field "$1" sha256)
}

fetch() {
    local name=$1 uri file sum found=
    [ "$(field "$name" kind)" != npm ] || { fetch_npm "$name"; return; }
    apt_setup
    while read -r uri file sum; do
        found=1
        field "$name" sha256 | grep -qxF "$sum $file" ||
            die "$name: $file in the pool (sha256 $sum) is not in $manifest; if you trust it: scripts/vendor.sh record $name"
        [ -f "$cache/$file" ] && continue
        echo "vendor: fetching $file" >&2
        /usr/lib/apt/apt-helper -c "$apt_ready" -qq download-file "$uri" "$cache/$file.part" "SHA256:$sum" >&2 ||
            die "$name: $file could not be downloaded or its sha256 differs from $manifest"
        mv "$cache/$file.part" "$cache/$file"
    done < <(pool_files "$name" "$arch")
    [ -n "$found" ] || die "$name: no package $(field "$name" package) for $arch in $(field "$name" suite)"
}

# --- building ------------------------------------------------------------------------------------

# Verified files of library $1 into the array `files`, fetched if need be.
files=()
need_files() {
    local name=$1 file o re=()
    case $(field "$name" kind) in
    deb) re=("_$arch\.deb") ;;
    source) re=('\.orig\.tar\.[a-z0-9]+' '\.debian\.tar\.[a-z0-9]+') ;;
    orig | files) re=('\.orig\.tar\.[a-z0-9]+') ;;
    npm) re=('\.tgz') ;;
    *) die "unknown kind '$(field "$name" kind)' in $manifest" ;;
    esac
    files=()
    for o in "${re[@]}"; do
        file=$(cached "$name" "$o")
        [ -n "$file" ] || { fetch "$name"; file=$(cached "$name" "$o"); }
        [ -n "$file" ] || die "$name: no file like $o in $manifest"
        files+=("$file")
    done
}

our_patches() {
    local p=$(field "$1" patches)
    [ -z "$p" ] || (cd vendor/patches && ls $p | sed 's|^|vendor/patches/|')
}

# Everything that the built library depends on.
made_from() {
    local file
    stanza "$1"
    echo "${cflags[*]}"
    for file in $(our_patches "$1"); do sha256sum "$file"; done
}

# Makes one object of those in folder $2, with only the names that the stanza of library $1 keeps.
# Libraries bring helpers with common names along, and the linker takes them for one another's.
localise() {
    local keep objects=("$2"/*.o) args=()
    set -f
    for keep in $(field "$1" keep); do args+=("--keep-global-symbol=$keep"); done
    set +f
    [ ${#args[@]} -gt 0 ] || return 0
    ld -r -o "$2/all" "${objects[@]}"
    objcopy --wildcard "${args[@]}" "$2/all"
    rm "${objects[@]}"
    mv "$2/all" "$2/$1.o"
}

# One library into $out/NAME/{include,lib}, or the files of something else into $out/NAME: complete
# or not at all.
build() {
    local name=$1 kind file src o tmp=$out/tmp.$1
    kind=$(field "$name" kind)
    need_files "$name"
    rm -rf "$tmp"
    mkdir -p "$tmp/src"
    [ -n "$(field "$name" files)" ] || mkdir "$tmp/include" "$tmp/lib"
    if [ -n "$(field "$name" files)" ]; then
        tar -xf "${files[0]}" -C "$tmp/src" --strip-components=1
        for file in $(field "$name" files); do
            cp -R "$tmp/src/$file" "$tmp/" || die "$name: $file is not in ${files[0]}"
        done
    elif [ "$kind" = deb ]; then
        dpkg-deb -x "${files[0]}" "$tmp/src"
        cp -R "$tmp/src/usr/include/." "$tmp/include"
        for file in "$tmp"/include/*-linux-gnu; do # headers that differ between machines
            [ -d "$file" ] && cp -R "$file/." "$tmp/include" && rm -r "$file"
        done
        for file in $(field "$name" archive); do
            cp "$tmp"/src/usr/lib/*/"$file" "$tmp/lib/"
        done
    else
        tar -xf "${files[0]}" -C "$tmp/src" --strip-components=1
        if [ ${#files[@]} -gt 1 ]; then
            tar -xf "${files[1]}" -C "$tmp/src"
            for file in $(sed 's/#.*//' "$tmp/src/debian/patches/series"); do
                patch -s -p1 -d "$tmp/src" <"$tmp/src/debian/patches/$file"
            done
        fi
        for file in $(our_patches "$name"); do
            patch -s -p1 -d "$tmp/src" <"$file" || die "$name: $file does not fit"
        done
        echo "vendor: compiling $name" >&2
        for file in $(field "$name" compile); do
            src=$tmp/src/$file o=$tmp/$(basename "$file" .c).o
            "${CC:-cc}" "${cflags[@]}" $(field "$name" flags) -I"$(dirname "$src")" -c -o "$o" "$src"
            cp "$(dirname "$src")"/*.h "$tmp/include/"
        done
        localise "$name" "$tmp"
        ar rcs "$tmp/lib/lib$name.a" "$tmp"/*.o
    fi
    rm -rf "$tmp/src" "${out:?}/$name"
    made_from "$name" >"$tmp/made-from"
    mv "$tmp" "$out/$name"
}

# What library $1 wants to be told, as its package or its authors have it.
notice() {
    local name=$1
    need_files "$name"
    case $(field "$name" kind) in
    deb) dpkg-deb --fsys-tarfile "${files[0]}" | tar -xO "./usr/share/doc/$(field "$name" package)/copyright" ;;
    source) tar -xOf "${files[1]}" debian/copyright ;;
    orig) tar -xOf "${files[0]}" --wildcards --no-wildcards-match-slash '*/LICENSE' ;;
    esac || die "$name: there is no notice in ${files[*]}"
}

# Prints "name version" of the npm packages whose code the page's bundle contains.
bundled() {
    sed -n '/"dependencies"/,/}/ s/^ *"\([^"]*\)": "\([0-9][^"]*\)".*/\1 \2/p' web/package.json
}

licenses() {
    local name version line=$(printf '=%.0s' {1..80}) apache= names
    names=$(named "")
    echo "hedgerow contains these libraries."
    for name in $names; do
        printf '\n%s\n%s %s: %s\n%s\n\n' "$line" "$name" "$(field "$name" version)" "$(field "$name" licence)" "$line"
        notice "$name"
        case $(field "$name" licence) in *Apache-2.0*) apache+=" $name" ;; esac
    done
    while read -r name version; do
        printf '\n%s\n%s %s, in the page: %s\n%s\n\n' "$line" "$name" "$version" \
            "$(sed -n 's/^ *"license": "\(.*\)".*/\1/p' "web/node_modules/$name/package.json")" "$line"
        cat "web/node_modules/$name/LICENSE" || die "$name: there is no notice in web/node_modules/$name; run make"
    done < <(bundled)
    if [ -n "$apache" ]; then
        # Their notices name this text instead of giving it; of a choice this one is taken.
        printf '\n%s\nApache-2.0, for:%s\n%s\n\n' "$line" "$apache" "$line"
        cat /usr/share/common-licenses/Apache-2.0
    fi
    printf '\n%s\nNot contained, but fetched by "make run":\n%s\n\n' "$line" "$line"
    for name in $(named run); do
        printf '%s %s: %s\n' "$(field "$name" package)" "$(field "$name" version)" "$(field "$name" licence)"
    done
}

record_npm() {
    local name=$1 part=$out/tmp.$1.npm file sum
    rm -rf "$part"
    mkdir -p "$part"
    file=$(npm_pack "$name" "$part")
    sum=$(sha256sum "$part/$file" | cut -d' ' -f1)
    rm -r "$part"
    field "$name" sha256 | grep -qxF "$sum $file" || echo "sha256    $sum $file"
}

record() {
    local name=$1 uri file sum a arches="amd64 arm64" lines=
    [ -n "$(stanza "$name")" ] || die "no library '$name' in $manifest"
    [ "$(field "$name" kind)" = deb ] || arches=$arch
    [ "$(field "$name" kind)" != npm ] || { lines=$(record_npm "$name") arches= ; lines=${lines:+$lines$'\n'}; }
    [ -z "$arches" ] || apt_setup "amd64 arm64"
    for a in $arches; do
        while read -r uri file sum; do
            field "$name" sha256 | grep -qxF "$sum $file" || lines+="sha256    $sum $file"$'\n'
        done < <(pool_files "$name" "$a")
    done
    [ -n "$lines" ] || { echo "vendor: $name: the manifest knows what the pool has"; return; }
    lines=$lines awk -v n="[$name]" '
        /^\[/ { on = $1 == n }
        { print }
        on && $1 == "sha256" && !done { printf "%s", ENVIRON["lines"]; done = 1 }' $manifest >$manifest.new
    mv $manifest.new $manifest
    printf 'vendor: recorded\n%s' "$lines"
    echo "vendor: check the 'version' line of [$name] too"
}

# The stanzas whose `when` is $1; without one: the libraries.
named() {
    awk -v want="$1" '
        function flush() { if (name && when == want) print name; when = "" }
        /^\[/ { flush(); name = substr($1, 2, length($1) - 2) }
        $1 == "when" { when = $2 }
        END { flush() }' $manifest
}

mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
arch=$(dpkg --print-architecture 2>/dev/null) || die "the libraries come from Debian packages and need dpkg"
if [ "${1:-}" = record ]; then
    [ -n "${2:-}" ] || die "usage: scripts/vendor.sh record NAME"
    record "$2"
    exit
fi
if [ "${1:-}" = licenses ]; then
    licenses
    rm -rf "$out/apt"
    exit
fi
case ${1:-} in
"") names=$(named "") ;;
test) names="$(named "") $(named test)" ;;
run) names=$(named run) ;;
*) die "usage: scripts/vendor.sh [test|run|record NAME|licenses]" ;;
esac
for name in $names; do
    if ! cmp -s <(made_from "$name") "$out/$name/made-from"; then
        build "$name"
    fi
done
rm -rf "$out/apt"
