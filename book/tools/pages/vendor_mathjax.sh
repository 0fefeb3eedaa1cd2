#!/bin/sh
# Bring MathJax into book/assets/vendor/mathjax (1.6 MB, committed), so that the built book shows its
# formulas without asking any other machine. Needed only to change the version; needs npm.
# Only the CommonHTML output with its woff fonts is kept: version 4 splits its fonts into further packages.
set -eu
cd "$(dirname "$0")/../.."
version=3.2.2
to=assets/vendor/mathjax
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd "$tmp" && npm pack --silent "mathjax@$version" >/dev/null && tar xzf "mathjax-$version.tgz")
rm -rf "$to"
mkdir -p "$to/output/chtml/fonts"
cp "$tmp/package/es5/tex-chtml.js" "$tmp/package/LICENSE" "$to/"
cp -r "$tmp/package/es5/output/chtml/fonts/woff-v2" "$to/output/chtml/fonts/"
echo "MathJax $version is in book/$to: $(du -sk "$to" | cut -f1) kB"
