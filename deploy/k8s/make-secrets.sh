#!/bin/sh
# Prints the Secrets that the manifests refer to, with new random values: deploy/k8s/make-secrets.sh | kubectl apply -f -
# Run it once; a second run would sign everybody out and lose the keys sealed under JWT_SECRET. With managed stores set DATABASE_URL and
# REDIS_URL before; else those of components/in-cluster-stores are meant. NODES is how many SRS pods get a secret (3).
set -eu
nodes=${NODES:-3}
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
postgres=$(random)
redis=$(random)
: "${DATABASE_URL:=postgres://keystone:$postgres@postgres:5432/keystone?sslmode=disable}"
secret() {
    printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: { name: %s, namespace: keystone }\ntype: Opaque\nstringData:\n' "$1"
}
entry() { printf "  %s: '%s'\n" "$1" "$(printf %s "$2" | sed "s/'/''/g")"; }

bootstrap='' i=0
secret keystone-nodes
while [ "$i" -lt "$nodes" ]; do
    own=$(random)
    entry "srs-$i" "$own"
    bootstrap="$bootstrap${bootstrap:+,}srs-$i:$own"
    i=$((i + 1))
done
secret keystone-control
entry DATABASE_URL "$DATABASE_URL"
[ -z "${DATABASE_URL_DIRECT:-}" ] || entry DATABASE_URL_DIRECT "$DATABASE_URL_DIRECT"
entry JWT_SECRET "$(random)"
entry NODES_BOOTSTRAP "$bootstrap"
secret keystone-redis
if [ -n "${REDIS_URL:-}" ]; then
    entry REDIS_URL "$REDIS_URL"
else
    entry REDIS_PASSWORD "$redis"
fi
secret keystone-stores
entry POSTGRES_PASSWORD "$postgres"
