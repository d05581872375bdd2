#!/usr/bin/env bash
# Proves Dockerfile and docker-compose.yml without a Docker engine: builds the image, brings the stack up, and breaks it.
#
#   make prove-compose        (as root on Debian; needs apt-get and PyPI; about five minutes, less the second time)
#
# buildah builds, podman and podman-compose run. Base images are made from Debian's packages, since no registry is asked;
# docs/deployment.md says what that leaves unproven. Everything lives in $WORK and in a network of its own.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export ROOT=$(cd "$HERE/../.." && pwd) HERE
export WORK=${CANARY_PROOF_DIR:-/var/tmp/canary-compose}
SUITE=$(. /etc/os-release && echo "$VERSION_CODENAME")
MIRROR=${CANARY_PROOF_MIRROR:-http://deb.debian.org/debian}
TOOLS=(buildah podman debootstrap crun netavark aardvark-dns iptables uidmap)

[[ $(id -u) -eq 0 ]] || { echo "run this as root" >&2; exit 2; }

say() { printf '\n== %s\n' "$*"; }

install_tools() {
    say "tools"
    local missing=() tool
    for tool in "${TOOLS[@]}"; do dpkg -s "$tool" >/dev/null 2>&1 || missing+=("$tool"); done
    if ((${#missing[@]})); then
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
    fi
    [[ -x $WORK/venv/bin/podman-compose ]] || {
        python3 -m venv "$WORK/venv" && "$WORK/venv/bin/pip" install -q 'podman-compose==1.6.0'
    }
    export PATH="$WORK/venv/bin:$PATH"
}

# A file system with Python where the official image has it: /usr/local/bin.
make_base() {
    say "base image from Debian $SUITE"
    if [[ ! -e $WORK/rootfs.done ]]; then
        rm -rf "$WORK/rootfs"
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates "$SUITE" "$WORK/rootfs" "$MIRROR" >/dev/null
        cp /etc/ssl/certs/ca-certificates.crt "$WORK/rootfs/etc/ssl/certs/ca-certificates.crt"
        printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' > "$WORK/rootfs/etc/pip.conf"
        chroot "$WORK/rootfs" python3 -m venv /usr/local
        touch "$WORK/rootfs.done"
    fi
    podman image exists docker.io/library/python:3.11-slim-bookworm || tar -C "$WORK/rootfs" -c . | podman import \
        -c 'ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin' \
        -c 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' \
        - docker.io/library/python:3.11-slim-bookworm >/dev/null
}

build() { buildah bud --isolation chroot --network host --pull-never --format docker -q "$@" >/dev/null; }

make_images() {
    say "images"
    podman image exists docker.io/library/postgres:17-bookworm ||
        build -t docker.io/library/postgres:17-bookworm -f "$HERE/stand-ins/postgres.Dockerfile" "$HERE/stand-ins"
    podman image exists docker.io/prom/prometheus:v3.5.0 ||
        build -t docker.io/prom/prometheus:v3.5.0 -f "$HERE/stand-ins/prometheus.Dockerfile" "$HERE/stand-ins"
    rm -rf "$WORK/project" && mkdir -p "$WORK/project"
    git -C "$ROOT" ls-files -z --cached --others --exclude-standard | tar -C "$ROOT" --null -T - -c | tar -C "$WORK/project" -x
    # The services' own network cannot be made here; podman-compose refuses it beside the shared one of override.yml.
    sed -i '/^ *networks: /d' "$WORK/project/docker-compose.yml"
    build -t localhost/canary-controller:local "$WORK/project"
}

make_secrets() {
    local at="$WORK/project/secrets" name
    install -d -m 700 "$at"
    for name in database_password admin_token grafana_password; do openssl rand -hex 24 > "$at/$name"; done
    echo "postgresql://canary:$(cat "$at/database_password")@db:5432/canary" > "$at/database_url"
    chmod 444 "$at"/*
}

mkdir -p "$WORK"
install_tools
# What a container must not ask of this machine: its own cgroup, more files than are allowed here.
cat > "$WORK/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=4096:4096"]
cgroups = "disabled"
pids_limit = 0
[engine]
runtime = "crun"
CONF
export CONTAINERS_CONF="$WORK/containers.conf"
make_base
make_images
make_secrets
exec unshare --mount --net --pid --fork --kill-child --mount-proc bash -c '
    umount /sys/fs/cgroup/unified 2>/dev/null || true
    ip link set lo up
    ip addr add 10.99.0.11/32 dev lo
    ip addr add 10.99.0.12/32 dev lo
    exec "$@"' - bash "$HERE/stack.sh"
