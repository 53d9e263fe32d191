#!/bin/sh
# Checks what the build needs before anything starts. Prints the chosen Python on standard output; on a lack, prints what is
# missing and the one line that installs it on standard error, and ends with 1. `--lint` asks for clippy and rustfmt as well.
set -u

rust_oldest=1.85
missing=""

lack() { missing="$missing  - $1
"; }

# The newest Python that can make a virtual environment. It is run, not only found: a version switcher's stand-in may exist
# for a Python that is not there. Set PYTHON to name another one.
find_python() {
    for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && command -v "$python" && return
    done
    return 1
}

# True if version $1 is at least version $2 (major.minor counts).
at_least() {
    [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

check_rust() {
    for tool in cargo rustc; do
        version=$("$tool" --version 2>/dev/null | cut -d ' ' -f 2)
        if [ -z "$version" ]; then
            lack "$tool $rust_oldest or newer"
        elif ! at_least "$version" "$rust_oldest"; then
            lack "$tool $rust_oldest or newer (found $version)"
        fi
    done
}

check_certificates() {
    for file in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        [ -s "$file" ] && return
    done
    lack "CA certificates (/etc/ssl/certs/ca-certificates.crt)"
}

# Debian 12 carries a current Rust under names of its own; its plain rustc is too old.
install_line() {
    rust="rustc cargo"
    lint="rustfmt rust-clippy"
    if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
        rust="rustc-web cargo-web"
        lint="rustfmt-web rust-web-clippy"
    fi
    [ "$want_lint" ] && rust="$rust $lint"
    [ "$(id -u)" = 0 ] || printf 'sudo '
    echo "apt-get install -y make gcc python3 python3-venv ca-certificates $rust"
}

want_lint=""
[ "${1:-}" = --lint ] && want_lint=yes

python=$(find_python) || lack "Python 3.11 or newer with venv and ensurepip"
command -v cc >/dev/null 2>&1 || lack "a C compiler and linker (cc)"
check_rust
check_certificates
if [ "$want_lint" ]; then
    cargo clippy --version >/dev/null 2>&1 || lack "clippy (rustup component add clippy)"
    cargo fmt --version >/dev/null 2>&1 || lack "rustfmt (rustup component add rustfmt)"
fi

if [ "$missing" ]; then
    {
        printf 'pytrader cannot be built yet; missing:\n%s' "$missing"
        printf 'On Debian or Ubuntu one line installs it (as root, after apt-get update):\n  '
        install_line
        echo 'Elsewhere: the same from your system, and Rust from https://rustup.rs (an old one: rustup update).'
    } >&2
    exit 1
fi
echo "$python"
