#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing of the named sections of .ci/packages.txt, asking nothing:
#   .ci/packages.sh run test
# Does nothing, and needs no rights, when nothing is missing.
set -euo pipefail

list=$(dirname "${BASH_SOURCE[0]}")/packages.txt

fail()
{
    echo "packages.sh: $1" >&2
    exit 1
}

# The names in one section of the list.
section()
{
    awk -v wanted="[$1]" '
        { sub(/#.*/, ""); gsub(/[ \t]/, "") }
        /^\[/ { inside = ($0 == wanted); found = found || inside; next }
        inside && $0 != "" { print }
        END { exit !found }' "$list" ||
        fail "$1: no such section in $list (sections: $(grep -o '^\[.*\]' "$list" | tr '\n' ' '))"
}

installed()
{
    local state
    state=$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) && [ "$state" = installed ]
}

[ $# -gt 0 ] || fail "no section given (say which: $(grep -o '^\[.*\]' "$list" | tr '\n' ' '))"
command -v dpkg-query >/dev/null ||
    fail "dpkg-query: not found: this is not Debian (install by hand what $list names)"

missing=()
for name in "$@"; do
    packages=$(section "$name")
    for package in $packages; do
        installed "$package" || missing+=("$package")
    done
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    if ! sudo -n true 2>/dev/null; then
        fail "${missing[*]}: missing, and neither root nor sudo without a password is to be had\
 (run as root: apt-get install ${missing[*]})"
    fi
    as_root=(sudo -n)
fi

echo "packages.sh: installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive
     apt-get -q -y -o DPkg::Lock::Timeout=300)
"${apt[@]}" update </dev/null >/dev/null ||
    fail "apt-get update failed (is there a network, and a Debian mirror in /etc/apt?)"
"${apt[@]}" install --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
    fail "apt-get install failed for: ${missing[*]} (see its message above)"
