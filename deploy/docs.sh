#!/bin/sh
# Builds the documentation into .keystone/docs; a page that is in no menu, or a link to a heading that is not there, is an error.
set -eu
cd "$(dirname "$0")/.."
exec .keystone/venv/bin/mkdocs build --quiet --strict --config-file deploy/mkdocs.yml
