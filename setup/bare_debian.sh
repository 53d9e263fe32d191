#!/usr/bin/env bash
# Shows that the README's commands work on a bare Debian 12: makes a minimal Debian in a folder, puts a clone of this repository
# into it, installs what the README's one line names and nothing else, then runs `make demo` and `make test` there, timed.
#
#   setup/bare_debian.sh [FOLDER [TARGET...]]     as root, with debootstrap; about 5 GB; FOLDER may be one made before
#
# Package registries are reached the way this machine reaches them: its settings for apt, pip and cargo are copied.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-$(mktemp -d)/debian}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || targets=(demo test)

say() { printf '\n== %s\n' "$*"; }

make_root() {
    [ -e "$folder/etc/debian_version" ] && return
    local mirror
    mirror=$(apt-get indextargets --format '$(URI)' 'Created-By: Packages' | sed -n 's#/dists/bookworm/.*#/#p' | head -n 1)
    say "debootstrap into $folder"
    debootstrap --variant=minbase bookworm "$folder" "$mirror" >/dev/null
}

# Settings only: which mirrors, which certificates, which index.
copy_settings() {
    rm -rf "$folder/etc/apt"
    cp -a /etc/apt "$folder/etc/apt"
    cp -L /etc/resolv.conf "$folder/etc/resolv.conf"
    # Every installed Debian has this file; debootstrap leaves it to the installer.
    [ -e "$folder/etc/hosts" ] || echo '127.0.0.1 localhost' >"$folder/etc/hosts"
    mkdir -p "$folder/etc/ssl" "$folder/usr/local/share" "$folder/srv/.cargo" "$folder/srv/.config"
    cp -a /etc/ssl/certs "$folder/etc/ssl/"
    cp -a /usr/local/share/ca-certificates "$folder/usr/local/share/" 2>/dev/null || true
    cp /etc/pip.conf "$folder/etc/" 2>/dev/null || true
    cp -a ~/.config/pip "$folder/srv/.config/" 2>/dev/null || true
    cp ~/.cargo/config.toml "$folder/srv/.cargo/" 2>/dev/null || true
}

clone() {
    rm -rf "$folder/srv/pytrader"
    git clone --quiet --no-hardlinks . "$folder/srv/pytrader"
}

# A command in the bare Debian, with a clean environment but for the registry settings, without a terminal.
inside() {
    local settings=()
    mapfile -t settings < <(env | grep -E '^(PIP|CARGO)_[A-Z_]+=' | grep -vE '^(PIP_CONSTRAINT|PIP_FIND_LINKS|CARGO_HOME|CARGO_TARGET_DIR)=' || true)
    folder="$folder" unshare --mount --pid --fork bash -euc '
        mount -t proc proc "$folder/proc"
        mkdir -p "$folder/dev/pts" "$folder/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$folder/dev/pts"
        mount -t tmpfs tmpfs "$folder/dev/shm"
        exec chroot "$folder" "$@"' - \
        env -i HOME=/srv LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        DEBIAN_FRONTEND=noninteractive "${settings[@]}" bash -ec "cd /srv/pytrader; $1" </dev/null
}

make_root
copy_settings
clone

line=$(inside 'sh setup/tools.sh 2>&1 || true' | grep -o 'apt-get install -y .*' || echo true)
if [ "$line" != true ] && [ -e README.md ] && ! grep -qF "$line" README.md; then
    echo "README.md does not name the line that a bare Debian needs: $line" >&2
    exit 1
fi
say "$line"
inside "apt-get -qq update && $line" >"$folder/install.log" 2>&1 || { tail -n 20 "$folder/install.log" >&2; exit 1; }

for target in "${targets[@]}"; do
    say "make $target"
    started=$SECONDS
    inside "make $target"
    say "make $target took $((SECONDS - started)) s"
done
