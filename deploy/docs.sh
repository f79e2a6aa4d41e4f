#!/bin/sh
# Builds the documentation into .keystone/docs; a menu's page or a heading that is not there is an error.
set -eu
cd "$(dirname "$0")/.."
exec .keystone/venv/bin/mkdocs build --strict --quiet --config-file deploy/mkdocs.yml
