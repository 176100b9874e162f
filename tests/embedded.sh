#!/usr/bin/env bash
# Runs cargo for a bare-metal target: tests/embedded.sh TARGET CARGO-ARGUMENT...
#
#   tests/embedded.sh thumbv7em-none-eabihf build -p vitrine-protocol
#
# Where `rustup target add TARGET` was done, that toolchain builds. Everywhere else Debian's rustc-web, cargo-web and
# rust-web-src do (installed when missing), which compile `core` and `alloc` for the target themselves. Both put what
# they build in the same place, target/TARGET/. cargo runs in the caller's directory, so that a workspace of its own
# works too; the linker is rust-lld or ld.lld. `size` of any binutils measures the result.
set -euo pipefail

if (($# < 2)); then
    echo "usage: tests/embedded.sh TARGET CARGO-ARGUMENT..." >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
target=$1
command=$2
shift 2

has() {
    command -v "$1" >/dev/null
}

sysroot=
if has rustc; then
    sysroot=$(rustc --print sysroot)
    if [[ -d $sysroot/lib/rustlib/$target ]]; then
        exec cargo "$command" --target "$target" "$@"
    fi
fi

# Debian's compiler goes by its full path: the one that PATH finds first may be rustup's.
debian=/usr/bin
if ! [[ -x $debian/cargo && -x $debian/rustc && -d /usr/lib/rustlib/src/rust/library ]]; then
    if ! has apt-get; then
        echo "nothing here builds for $target: rustup target add $target" >&2
        exit 1
    fi
    "$here/install.sh" rustc-web cargo-web rust-web-src
fi

# Debian ships no rust-lld; rustup does, for its own host's toolchain.
linker=$(compgen -G "$sysroot/lib/rustlib/*/bin/rust-lld" | head -n 1 || true)
if [[ -z $linker ]]; then
    has ld.lld || "$here/install.sh" lld
    linker=ld.lld
fi
linker_variable=CARGO_TARGET_$(tr 'a-z.-' 'A-Z__' <<<"$target")_LINKER
export "$linker_variable=$linker"

# A library built from source is an unstable feature of a stable compiler.
export RUSTC=$debian/rustc RUSTDOC=$debian/rustdoc RUSTC_BOOTSTRAP=1
exec "$debian/cargo" "$command" -Zbuild-std=core,alloc --target "$target" "$@"
