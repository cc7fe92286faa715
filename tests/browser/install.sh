#!/usr/bin/env bash
# Installs what the browser tests need and is not there: Debian's Chromium (as root), and playwright-core into
# target/browser.
set -euo pipefail
cd "$(dirname "$0")"
into="${CARGO_TARGET_DIR:-../../target}/browser"
if ! command -v chromium >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
fi
mkdir -p "$into"
cp package.json package-lock.json "$into"
npm ci --prefix "$into" --ignore-scripts --silent --no-audit --no-fund
