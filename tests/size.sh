#!/usr/bin/env bash
# Prints what parts of vitrine-protocol take on a Cortex-M4F, in octets of flash: tests/size.sh
#
# The compiler's routines that copy and clear memory are counted apart: a firmware has them once, whatever else it does.
set -euo pipefail
cd "$(dirname "$0")/../protocol/size"

target=thumbv7em-none-eabihf
../../tests/embedded.sh $target build --release

# Code, constants and preset data.
flash() {
    size "target/$target/release/$1" | awk 'NR == 2 { print $1 + $2 }'
}

memory_routines() {
    nm --print-size --radix=d --demangle "target/$target/release/$1" |
        awk '$4 ~ /^(__aeabi_mem|memcpy|memmove|memset|memcmp|compiler_builtins::mem)/ { octets += $2 } END { print octets + 0 }'
}

nothing=$(flash nothing)
printf '%-14s %6s %16s\n' part octets 'memory routines'
for part in ibeacon eid both eid_software shelf; do
    routines=$(memory_routines "$part")
    printf '%-14s %6d %16d\n' "$part" $(($(flash "$part") - nothing - routines)) "$routines"
done
