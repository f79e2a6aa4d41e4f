/**
 * What a browser loads of script before it can show a page, gzipped: the entry and whatever that imports at once, from the build's manifest.
 * Exit 1 when a page is over its budget.
 * `--quiet` says nothing else, `--json` one line.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
/** kB (1,000 bytes) of gzipped script. The first is the promise of the watch page; the others keep players and charts out of what needs none. */
const BUDGETS = [
  ["watch", "index.html", ["src/pages/watch.tsx"], 150],
  ["embed", "embed.html", [], 60],
  ["directory", "index.html", [], 80],
];

const manifest = JSON.parse(await readFile(`${dist}.vite/manifest.json`, "utf8"));

/** The entries' files and those they import statically, each once. */
function files(entries, seen = new Set()) {
  for (const name of entries) {
    const chunk = manifest[name];
    if (!chunk) throw new Error(`the build has no ${name}`);
    if (seen.has(chunk.file)) continue;
    seen.add(chunk.file);
    files(chunk.imports ?? [], seen);
  }
  return seen;
}

const asked = (flag) => process.argv.includes(flag);
let over = false;
const told = {};
for (const [page, html, lazy, budget] of BUDGETS) {
  let bytes = 0;
  for (const file of files([html, ...lazy.filter((name) => manifest[name])])) {
    if (file.endsWith(".js")) bytes += gzipSync(await readFile(dist + file), { level: 9 }).length;
  }
  told[page] = bytes;
  if (!asked("--json") && !asked("--quiet"))
    console.log(`${page}: ${(bytes / 1000).toFixed(1)} kB gzip of script, at most ${budget}`);
  if (bytes > budget * 1000) over = true;
}
if (asked("--json")) console.log(JSON.stringify(told));
if (over) {
  console.error("over budget: what is not needed at once belongs behind import()");
  process.exitCode = 1;
}
