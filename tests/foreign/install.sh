#!/usr/bin/env bash
# Installs other makers' clients into target/foreign: SignalR's by Microsoft from npm, pysignalr and tenantbox from PyPI.
set -euo pipefail
cd "$(dirname "$0")"
into="${CARGO_TARGET_DIR:-../../target}/foreign"
mkdir -p "$into"
cp package.json package-lock.json "$into"
npm ci --prefix "$into" --ignore-scripts --silent --no-audit --no-fund
[ -x "$into/python/bin/python" ] || python3 -m venv "$into/python"
"$into/python/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
