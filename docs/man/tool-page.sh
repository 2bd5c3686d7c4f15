#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes a tool's manual page of section 1 out of what it says with --help:
#   tool-page.sh PROGRAM VERSION >NAME.1
# --help begins with "Usage: ...", then a paragraph that says what the tool does; the rest is kept.
set -euo pipefail

fail()
{
    echo "tool-page.sh: $1" >&2
    exit 1
}

[ $# = 2 ] || fail "usage: tool-page.sh PROGRAM VERSION"
name=$(basename "$1")
help=$("$1" --help) || fail "$1 --help: failed (it has to print the usage and exit with 0)"
[[ $help == "Usage: $name "* ]] || fail "$1 --help: does not begin with 'Usage: $name '"

awk -v name="$name" -v version="$2" '
    function escape(text)
    {
        gsub(/\\/, "\\e", text)
        gsub(/-/, "\\-", text)
        if (text ~ /^[.\x27]/)
            text = "\\&" text
        return text
    }
    NR == 1 { usage = substr($0, 8); next }
    !done && /^$/ { done = 1; next }
    !done { what = what (what == "" ? "" : " ") $0; next }
    { rest = rest escape($0) "\n" }
    END {
        brief = what
        if (match(brief, /[.:;,]( |$)/))
            brief = substr(brief, 1, RSTART - 1)
        brief = tolower(substr(brief, 1, 1)) substr(brief, 2)
        printf ".TH %s 1 \"\" \"shmbus %s\" \"shmbus\"\n", toupper(name), version
        printf ".SH NAME\n%s \\- %s\n", name, escape(brief)
        printf ".SH SYNOPSIS\n%s\n", escape(usage)
        printf ".SH DESCRIPTION\n%s\n.PP\n.nf\n%s.fi\n", escape(what), rest
        printf ".SH SEE ALSO\n.BR shmbus (3)\n"
    }' <<<"$help"
