# What people and CI run. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh

# Node from PyPI, where the machine's own is too old (deploy/setup.sh).
export PATH := $(CURDIR)/.keystone/bin:$(PATH)

CARGO ?= cargo
BUILT := $(or $(CARGO_TARGET_DIR),target)
KEYSTONE := $(BUILT)/debug/keystone
# Passed to `keystone demo` and `keystone up`: make demo DEMO_ARGS="--for 30s --json"
DEMO_ARGS ?=
UP_ARGS ?=
# Passed to `keystone chaos`: make chaos CHAOS_ARGS="--only node --runs 30 --publishers 8 --viewers 16"
CHAOS_ARGS ?=
# Passed to `keystone matrix` and `keystone hostile`
MATRIX_ARGS ?=
HOSTILE_ARGS ?=
# Passed to nextest: make test TEST_ARGS="-p edge whip"
TEST_ARGS ?=
COMPOSE := docker compose -f deploy/docker-compose.dev.yml --env-file .env
# Settings written by `make up`, for services run from a terminal.
WITH_ENV := test -f .env || { echo "no .env: run \`make up\` first, in another terminal" >&2; exit 1; }; set -a; . ./.env; set +a;

.PHONY: help setup build web web-types test-web up down demo migrate run-control run-gateway run-web check test test-all test-deploy chaos matrix hostile bench sim fuzz docs

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: ## install what this machine lacks (PostgreSQL, Redis, Caddy, Node, ffmpeg, Chromium …); start none of it
	@deploy/setup.sh

build: setup ## build both services and the command line tool
	@$(CARGO) build --locked --workspace --bins

web: setup ## build the web page into web/dist
	@npm --prefix web run --silent build

web-types: ## renew web/openapi.json, from which the page's types are made
	@$(CARGO) build --locked --quiet -p control
	@$(BUILT)/debug/control-api openapi >web/openapi.json.new && mv web/openapi.json.new web/openapi.json
	@npm --prefix web run --silent types

# Scenarios of web/e2e/run.mjs: make test-web WEB_TESTS="live nodes"
WEB_TESTS ?= all
test-web: build web ## the page: its unit tests, then real browsers against a cluster of their own (WEB_TESTS="live nodes"; pictures in .keystone/screenshots)
	@npm --prefix web test
	@KEYSTONE_BIN=$(abspath $(KEYSTONE)) node web/e2e/run.mjs $(WEB_TESTS)

demo: build web ## a whole cluster with a test picture going in by WHIP and coming out by WHEP (DEMO_ARGS="--for 30s --json")
	@exec $(KEYSTONE) demo $(DEMO_ARGS)

up: setup ## PostgreSQL, Redis and SRS for development, and the .env of the run- commands; Docker if it runs, else until Ctrl-C
	@$(CARGO) build --locked --quiet -p keystone
	@if docker info >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; then \
		$(KEYSTONE) dev-settings && $(COMPOSE) up -d --wait && echo "up; \`make down\` ends it"; \
	else \
		exec $(KEYSTONE) up --deps-only $(UP_ARGS); \
	fi

down: ## end what `make up` started in Docker; data stays
	@$(COMPOSE) down

migrate: ## bring the database of DATABASE_URL (else of .env) to the present schema
	@$(CARGO) build --locked --quiet -p control
	@if [ -n "$$DATABASE_URL" ]; then :; else $(WITH_ENV) fi; exec $(BUILT)/debug/control-api migrate

run-control: migrate ## control-api in this terminal, with the settings of `make up`
	@$(WITH_ENV) exec $(BUILT)/debug/control-api

run-gateway: ## edge-gateway in this terminal, with the settings of `make up`
	@$(CARGO) build --locked --quiet -p edge
	@$(WITH_ENV) exec $(BUILT)/debug/edge-gateway

run-web: setup ## the web page on port 5173, rebuilt as it is edited
	@if [ -f .env ]; then set -a; . ./.env; set +a; fi; exec npm --prefix web run dev

check: setup ## formatting, clippy with warnings as errors, the tree's own rules, the page's types and lint
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --locked --workspace --all-targets --quiet -- -D warnings
	@$(CARGO) nextest run --locked -p kit --test tidy --status-level fail --final-status-level fail
	@npm --prefix web run --silent check

test: check build web ## check, then all quick tests with real stores, media and browser
	@$(KEYSTONE) test-stores -- deploy/test.sh quick $(TEST_ARGS)

test-all: check build web ## everything: third-party clients, all of real SRS, licences
	@bench/clients/setup
	@$(KEYSTONE) test-stores -- deploy/test.sh all $(TEST_ARGS)

test-deploy: setup ## everything under deploy/ by the tools that read it: containers, Kubernetes, Caddy, nginx, SRS, alerts, scripts, workflows
	@deploy/test-deploy.sh

docs: ## the documentation as a site in .keystone/docs
	@deploy/docs.sh

chaos: build ## a cluster with an audience, broken in every way it promises to survive; the table goes to docs/chaos.md (CHAOS_ARGS="--only node")
	@exec $(KEYSTONE) chaos $(if $(CHAOS_ARGS),$(CHAOS_ARGS),--write docs/chaos.md)

matrix: build ## every kind of publisher through one edge to every kind of player through another, with real SRS; the table goes to docs/matrix.md (MATRIX_ARGS="--only srt")
	@bench/clients/setup matrix
	@exec $(KEYSTONE) matrix $(if $(MATRIX_ARGS),$(MATRIX_ARGS),--write docs/matrix.md)

hostile: build ## live streams through an edge under attack: floods, half-open connections, absurd lengths; the table goes to docs/hostile.md (HOSTILE_ARGS="--only stun")
	@exec $(KEYSTONE) hostile $(if $(HOSTILE_ARGS),$(HOSTILE_ARGS),--write docs/hostile.md)

bench: setup ## measurements, each beside a peer in the same run; results in bench/README.md
	@bench/run.sh

SEEDS ?= 1000
FROM ?= 0
sim: ## seeded simulation of a cluster on all cores (SEEDS=10000; a failing seed again: FROM=17 SEEDS=1)
	@$(CARGO) build --locked --quiet --release -p sim
	@exec $(BUILT)/release/sim --from $(FROM) --seeds $(SEEDS)

SECONDS ?= 60
fuzz: ## every parser of foreign bytes under libFuzzer (SECONDS=600 each, TARGET=sdp_offer for one)
	@SECONDS_EACH=$(SECONDS) TARGET=$(TARGET) CARGO=$(CARGO) proto/fuzz/run.sh
