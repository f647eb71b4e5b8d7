#!/usr/bin/env bash
# cover.sh FOLDER - line coverage per folder of src/, and the files with the least, after a COVER=1 run.
set -euo pipefail
cd "$(dirname "$0")/.."

find "$1" -name '*.gcda' -print0 | xargs -0 -r -n 1 gcov -n 2>/dev/null | awk '
    /^File / { file = substr($2, 2, length($2) - 2); sub(/^\/+/, "", file); next }
    /^Lines executed:/ && file ~ /^src\/.*\.c$/ {
        split($0, part, /[:%]| of /)
        # A file may have been compiled into several programs: the best run counts.
        if (!(file in size) || part[2] > best[file]) best[file] = part[2]
        size[file] = $NF; sub(/^.* of /, "", size[file])
        file = ""
    }
    END {
        for (f in size) {
            split(f, way, "/")
            lines[way[2]] += size[f]; hit[way[2]] += size[f] * best[f] / 100
            all += size[f]; done += size[f] * best[f] / 100
            printf "file %6.1f %% of %5d  %s\n", best[f], size[f], f
        }
        for (d in lines) printf "folder %6.1f %% of %5d  %s\n", 100 * hit[d] / lines[d], lines[d], d
        if (all) printf "total %6.1f %% of %5d lines\n", 100 * done / all, all
    }' | sort -k1,1 -k2,2n | awk '
    $1 == "file" { if (files++ < 15) print; next }
    { print }'
