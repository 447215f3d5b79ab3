#!/bin/sh
# Builds dist/counter-js.wasm: a component without any WASI import. Needs node 20 or newer, and `npm ci` once.
set -eu
cd "$(dirname "$0")"
mkdir -p dist
# jco wants the WIT inside the working directory.
rm -rf dist/wit
cp -r ../../wit dist/wit
npx --no-install jco componentize counter.js --wit dist/wit --world-name agent --out dist/counter-js.wasm.new \
	--backend qjs --backend-qjs-stub-wasi --backend-qjs-disable-async
rm -rf dist/wit
mv dist/counter-js.wasm.new dist/counter-js.wasm
