#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the models can fail: what a Promela model names as its mutants, spin has to catch; the
# thread sanitizer, the orders of the list "weaker" that are its. All of that list, and the patches
# of mutants/, are for a model checker: genmc.sh.
#
# Needs SHMBUS_SOURCE_FOLDER; SHMBUS_CC: the compiler.
set -euo pipefail
# shellcheck source=tests/models/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

weaker()
{
    local site order name
    read -r site order name _ <<<"$1"
    local folder=$work/$site.$name program=$work/$site.$name/model
    if ! mutant_source "$folder" "$site" "$order" || ! compile "$name" "$folder/src" "$program" -g \
        -fsanitize=thread -Wno-tsan; then
        echo "FAIL mutant_$name: $site $order does not build"
    elif SHMBUS_MODEL_ROUNDS=50000 TSAN_OPTIONS=halt_on_error=1 timeout 200 "$program" \
        >"$folder/said.txt" 2>&1; then
        echo "FAIL mutant_$name: $site $order was not caught"
    elif ! grep -E 'data race|ssertion' "$folder/said.txt" >/dev/null; then
        echo "FAIL mutant_$name: $site $order: $(tail -n 1 "$folder/said.txt")"
    else
        echo "PASS mutant_$name: $site $order: $(grep -oEm 1 'data race|Assertion.*' "$folder/said.txt")"
    fi
    rm -rf "$folder"
}

promela()
{
    local model=${1% *} mutant=${1#* } text
    if text=$("$models/spin.sh" "$model" "-D$mutant"); then
        echo "FAIL mutant_$model: $mutant was not caught"
    elif [[ $text != *'pan:1: '* ]]; then
        echo "FAIL mutant_$model: $mutant: $text"
    else
        echo "PASS mutant_$model: $mutant: $text"
    fi
}

# The mutants that a Promela model's first comment names.
named()
{
    for model in holes resume takeover; do
        sed -n '/Mutants:/,/\*\/$/p' "$models/$model.pml" | grep -oE '\b[A-Z]+(_[A-Z]+)+\b' |
            sed "s/^/$model /"
    done
}

many weaker < <(grep ' tsan$' "$models/weaker")
caught=$passed
missed=$failed
many promela < <(named)
caught=$((caught + passed))
missed=$((missed + failed))
echo "models: $((caught + missed)) mutants, $caught caught"
[ $missed = 0 ]
