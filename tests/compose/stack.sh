#!/usr/bin/env bash
# Runs inside the network that prove.sh made: the stack comes up, is looked at, is broken, and recovers.
set -euo pipefail

cd "$WORK/project"
ADMIN=$(cat secrets/admin_token)
ONE=http://10.99.0.11:8321 TWO=http://10.99.0.12:8321

compose() { podman-compose -f docker-compose.yml -f "$HERE/override.yml" --podman-run-args=--pull=never "$@" 2>>"$WORK/compose.log"; }
say() { printf '\n== %s\n' "$*"; }
ok() { printf '   ok: %s\n' "$*"; }
fail() { printf "   FAILED: %s\n" "$*" >&2; curl -s "http://127.0.0.1:9090/api/v1/targets?state=active" | cut -c1-1500 >&2; podman logs "$(name controller-1)" 2>&1 | tail -20 >&2 || true; exit 1; }
name() { echo "canary_$1_1"; }
api() { curl -fsS --max-time 10 -H "Authorization: Bearer $ADMIN" "$@"; }
# Repeats a command until it succeeds: `until_ok SECONDS WORDS COMMAND...`
until_ok() {
    local seconds=$1 words=$2 end=$((SECONDS + $1)); shift 2
    until "$@" >/dev/null 2>&1; do ((SECONDS < end)) || fail "not within $seconds s: $words"; sleep 0.5; done
    ok "$words"
}
healthy() { podman healthcheck run "$(name "$1")"; }
unhealthy() { ! podman healthcheck run "$(name "$1")"; }
status_is() { [[ $(curl -s -o /dev/null --max-time 10 -w '%{http_code}' -H "Authorization: Bearer $ADMIN" "$2") == "$1" ]]; }
leads() { api "$1/metrics" | grep -q '^canary_leader 1.0'; }
one_leads() { leads $ONE || leads $TWO; }
targets_up() { [[ $(curl -fsS 'http://127.0.0.1:9090/api/v1/query?query=sum(up%7Bjob%3D%22canary-controller%22%7D)' | grep -o '"[0-9]*"]' ) == '"2"]' ]]; }

start() { compose up -d --no-deps --no-build "$1" >>"$WORK/compose.log" || fail "$1 does not start: $(tail -5 "$WORK/compose.log")"; }
# Without systemd podman complains that it cannot schedule health checks; they are run by hand, and tell whether it runs.
again() { podman start "$(name "$1")" >>"$WORK/compose.log" 2>&1 || true; }
bring_up() {
    start db; until_ok 60 "db is healthy" healthy db
    start migrate
    [[ $(podman wait "$(name migrate)") == 0 ]] || { podman logs "$(name migrate)" >&2; fail "the schema was not migrated"; }
    ok "the schema is migrated"
    start controller-1; start controller-2
    until_ok 60 "controller-1 is healthy" healthy controller-1
    until_ok 60 "controller-2 is healthy" healthy controller-2
    start prometheus; until_ok 60 "prometheus is healthy" healthy prometheus
}
take_down() { compose down -t 20 >/dev/null 2>&1 || true; }
trap take_down EXIT
take_down
podman volume rm -f canary_database canary_metrics canary_grafana >/dev/null 2>&1 || true

say "up"
bring_up

say "hardened"
for service in controller-1 controller-2; do
    at=$(name $service)
    [[ $(podman exec "$at" id -u) == 10001 ]] || fail "$service runs as another user"
    podman exec "$at" sh -c 'touch /opt/canary/x 2>/dev/null || touch /etc/x 2>/dev/null' && fail "$service can write its root"
    podman exec "$at" sh -c 'touch /tmp/x' || fail "$service cannot write /tmp"
    podman exec "$at" sh -c 'grep -q "^CapEff:.0*$" /proc/1/status && grep -q "^NoNewPrivs:.1" /proc/1/status' || fail "$service has capabilities"
    podman inspect "$at" | grep -q "$ADMIN" && fail "$service shows the token in its configuration"
    ok "$service: user 10001, read-only root, no capability, no new privileges, no secret in its configuration"
done
podman logs "$(name controller-1)" 2>&1 | grep -q "$ADMIN" && fail "the token is in the log"
podman logs "$(name controller-1)" 2>&1 | grep -v '^{' | grep -q . && fail "a line of the log is no JSON"
ok "the log is JSON and has no token"

say "two replicas"
until_ok 20 "one of them leads" one_leads
api -H 'Content-Type: application/json' -d '{"key":"checkout","variants":{"off":false,"on":true},"control":"off"}' $ONE/api/v1/flags >/dev/null
until_ok 5 "a flag made on one is served by the other" api $TWO/api/v1/flags/checkout
until_ok 60 "Prometheus scrapes both" targets_up
leads $ONE && first=controller-1 second=$TWO || { first=controller-2; second=$ONE; }
podman kill -s KILL "$(name $first)" >/dev/null
until_ok 15 "the other one leads within 15 s of a SIGKILL of the leader" leads $second
again $first
until_ok 60 "$first is healthy again" healthy $first

say "the database stops"
podman stop -t 20 "$(name db)" >/dev/null
until_ok 30 "reading is answered 503" status_is 503 $ONE/api/v1/flags
until_ok 30 "controller-1 is unhealthy" unhealthy controller-1
again db
until_ok 60 "db is healthy again" healthy db
until_ok 60 "controller-1 is healthy again, alone" healthy controller-1
until_ok 60 "controller-2 is healthy again, alone" healthy controller-2

say "down and up"
podman stop -t 15 "$(name controller-1)" >/dev/null
[[ $(podman inspect -f '{{.State.ExitCode}}' "$(name controller-1)") == 0 ]] || fail "controller-1 did not end in order"
ok "controller-1 ended in order within its grace period"
take_down
bring_up
until_ok 10 "the flag is still there" api $ONE/api/v1/flags/checkout
say "proven"
