#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# rig: builds for itself
# Measures which lines of libshmbus/src the tests run, but for the rigs that single-step, count
# system calls or build for themselves: 95 % of the lines and 85 % of the branches are the least.
# What is not covered is listed with its reason: explain.py. The whole report is in build/coverage/coverage.txt, the lines one by one in .../coverage/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

least_lines=95
least_branches=85
build=build/coverage
without=$(tests/run.sh --list | grep -xE 'crash|hotpath|install|lint|market|models|mutants|race|upgrade' | paste -sd,)
status=0

# A test's child may be another user, who has to be able to add to the counts as well. That all tests
# pass without a umask is worth seeing, too.
umask 0
mkdir -p $build
find $build -name '*.gcda' -delete
if tests/run.sh --preset coverage --without "$without" >$build/tests.txt 2>&1; then
    echo "PASS coverage_tests"
else
    grep -E '^(FAIL|     )|Error|error' $build/tests.txt | head -n 40 || true
    echo "FAIL coverage_tests: $(tail -n 1 $build/tests.txt) (see $build/tests.txt)"
    status=1
fi
mkdir -p $build/coverage
gcovr --root . --filter 'libshmbus/src/' --object-directory $build --txt $build/coverage.txt \
    --html-details $build/coverage/index.html --print-summary $build >$build/summary.txt
sed -n '/^-----/,$p' $build/coverage.txt
# check WHAT LEAST: what the summary says of lines or branches.
check()
{
    local percent
    percent=$(awk -v what="$1:" '$1 == what { sub(/%/, "", $2); print $2 }' $build/summary.txt)
    if awk -v percent="$percent" -v least="$2" 'BEGIN { exit !(percent + 0 >= least) }'; then
        echo "PASS coverage_$1: $percent % of the $1 of libshmbus/src"
    else
        echo "FAIL coverage_$1: $percent % of the $1 of libshmbus/src, less than $2 %"
        status=1
    fi
}
python3 tests/coverage/explain.py $build/coverage.txt || status=1
check lines $least_lines
check branches $least_branches
exit $status
