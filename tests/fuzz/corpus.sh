#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes the corpus anew: corpus.sh SEED, where SEED is the program fuzz_seed of the preset fuzz, with
# fuzz_seed_recording beside it. To be run when the layout of a segment, the format of a recording, the
# options of a tool or a struct of options has changed.
set -euo pipefail

seed=$(realpath "${1:?the program fuzz_seed}")
cd "$(dirname "${BASH_SOURCE[0]}")/corpus"

# text TARGET NAME FORMAT: what printf makes of it.
text()
{
    # shellcheck disable=SC2059 # formats are what is written here
    printf "$3" >"$1/$2"
}

for target in segment options arguments lists input recording; do
    rm -rf "$target"
    mkdir "$target"
done

"$seed" segment
"${seed}_recording" recording

# words TARGET NAME WORD...: each ended by a byte of 0, behind the byte that the first one names.
words()
{
    local target=$1 name=$2 first=$3
    shift 3
    printf '%b' "$first" >"$target/$name"
    printf '%s\0' "$@" >>"$target/$name"
}

# Which of the tools, and its arguments.
pub='\0001'
sub='\0000'
stat='\0002'
record='\0003'
replay='\0004'
dump='\0005'
words arguments pub_plain $pub ticks
words arguments pub_ring $pub --capacity 1K --slot 128 --pool 64:4,4K:2 --scrub ticks -
words arguments pub_format $pub --format=raw:24 --rate 1000 --type 7 --timestamps ticks file
words arguments pub_len32 $pub --format len32 --wait-strategy park --keep --no-park ticks
words arguments pub_types $pub --register '7:trade:12:price:<i8,qty:<i4' --type trade ticks
words arguments pub_file $pub --types file --first-sequence 100 --history 20 ticks
words arguments pub_required $pub --required one,two --wait-consumers 2 --stall 0.5 --evict 1 ticks
words arguments pub_place $pub --numa node:0 --huge thp --cpu 0 --fifo 5 --mode 0640 --group root ticks
words arguments pub_join $pub --join --producers 4 --max-consumers 9 --replace --folder x ticks
words arguments sub_plain $sub ticks
words arguments sub_required $sub --required --name one --grace 1.5 --after two,three --after-gone wait t
words arguments sub_read $sub --format json --count 10 --from oldest --type 7,trade --latency ticks
words arguments sub_from $sub --from 12 --move-up --deadline 0.25 --slack 100 --format hex ticks
words arguments sub_wait $sub --observe --wait 2 --wait-strategy spin --follow --cpu node:0 --fifo 3 t
words arguments stat_page $stat --interval 0.5 --folder x ticks
words arguments stat_list $stat --json --reap
words arguments stat_two $stat one two
words arguments record_plain $record -o file ticks
words arguments record_ways $record --append --level fast:9 --sync 0.5 --block 4K --queue 4 -o file ticks
words arguments record_rotate $record --required --name one --rotate-size 1M --rotate-time 60 --type 7 -o file ticks
words arguments record_from $record --observe --from 12 --wait 2 --count 100 --cpu 0 --level 12 -o file ticks
words arguments replay_plain $replay file ticks
words arguments replay_parts $replay --speed 10 --loop 3 one two a + three b
words arguments replay_span $replay --speed max --from 100 --to +5 --type trade --keep file ticks
words arguments replay_time $replay --from 2001-02-03T04:05:06.7 --to 2001-02-03T04:05:06Z --wait-consumers 2 f t
words arguments dump_plain $dump file
words arguments dump_csv $dump --format csv --type 7 --from 5 --to 9 --count 3 file
words arguments dump_stats $dump --stats file
words arguments dump_verify $dump --verify file
words arguments help $pub --help
words arguments version $sub --version

# Names, types wanted, a file of types.
text lists empty '\0001\000'
text lists types 'one,two\0007,trade\0007:trade:12:price:<i8,qty:<i4\n1:text:0\n'
text lists comments '\000text\000# a comment\n\n1:text:0:\n9:order:24:side:u1\n'
text lists wrong 'a b\000x/y\0007:trade\n'

# A limit, and what is cut into records.
text input lines '\377\000one\ntwo\n\nthree'
text input sized '\100\000\003\000\000\000abc\000\000\000\000\005\000\000\000hello'
text input cut '\001\000\020\000\000\000abc'
text input utf8 '\377\377gr\303\274n \342\202\254 \360\237\230\200 \300\200 \355\240\200 \033[31m "quoted" \\ \t'

# Which function, the struct's size (odd: whole), its fields, tables and strings.
zeros=$(printf '\\000%.0s' {1..160})
small='\000\000\000\000\000\000\000\000\020\000\000\000\000\000\000\000\000\000\000\000\004\000\000\000'
small+='\000\000\000\000\002\000\000\000'
for function in 0 1 2 3 4; do
    text options "whole_$function" "\\00$function\\001\\000$zeros$zeros\\000one\\000two\\000trade\\000"
    text options "short_$function" "\\00$function\\040\\000$zeros"
    text options "larger_$function" "\\00$function\\003\\000$zeros$zeros"
done
text options small "\\000\\001\\000$small$zeros$zeros\\001\\000$zeros"
