/**
 * The page in real browsers against a real cluster. `node e2e/run.mjs [short|all|NAME…]`, names as in `scenarios.mjs`; `short` is what `make test`
 * runs. Prints one JSON line for each scenario; exit 1 when one failed.
 *
 * KEYSTONE_URL          a running cluster's address; without it `keystone up` is started for the run and ended after it
 * KEYSTONE_BIN          the program `keystone`, target/debug/keystone
 * KEYSTONE_PORT_BASE    --port-base of that cluster, 0
 * CHROMIUM              the browser, /usr/bin/chromium
 * KEYSTONE_E2E_CAMERA   a file in place of the fake camera's own picture
 * KEYSTONE_SCREENSHOTS  folder for pictures, .keystone/screenshots at the top of the tree
 * KEYSTONE_E2E_SECONDS  how long frames have to go on rising, 5
 */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { accounts } from "./accounts.mjs";
import { launch } from "./browser.mjs";
import { startCluster } from "./cluster.mjs";
import { away, devices, hls, live, looks, nodes, share } from "./scenarios.mjs";

const SCENARIOS = new Map(Object.entries({ live, share, accounts, devices, away, nodes, hls, looks }));
const SHORT = ["live", "share"];
const ALL = [...SCENARIOS.keys()];
/** Needs a cluster of our own: its processes are killed, its administrator is known. */
const OWN = ["accounts", "nodes", "looks"];
/** WebRTC by proxies only, of which there is none: nothing of UDP gets out, as behind many firewalls. */
const NO_UDP = [
  "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
  "--webrtc-ip-handling-policy=disable_non_proxied_udp",
];

const folder =
  process.env.KEYSTONE_SCREENSHOTS ?? fileURLToPath(new URL("../../.keystone/screenshots", import.meta.url));
const seconds = Number(process.env.KEYSTONE_E2E_SECONDS ?? 5);
const wanted = process.argv.slice(2).flatMap((name) => ({ short: SHORT, all: ALL })[name] ?? [name]);
const names = wanted.length > 0 ? wanted : ALL;

let failed = false;
await mkdir(folder, { recursive: true });
const cluster = process.env.KEYSTONE_URL
  ? { base: process.env.KEYSTONE_URL.replace(/\/+$/, ""), stop: async () => undefined }
  : await startCluster();
try {
  for (const name of names) await one(name);
} finally {
  await cluster.stop();
}
process.exitCode = failed ? 1 : 0;

async function one(name) {
  const scenario = SCENARIOS.get(name);
  if (!scenario) throw new Error(`no scenario ${name}: ${ALL.join(", ")}`);
  if (OWN.includes(name) && !cluster.admin)
    throw new Error(`${name} needs a cluster of its own: leave KEYSTONE_URL out`);
  const started = Date.now();
  const said = [];
  let step = "start Chromium";
  const browser = await launch();
  const blocked = name === "hls" ? await launch(NO_UDP) : undefined;
  const shot = (page, picture) => page.screenshot({ path: `${folder}/${picture}.png`, fullPage: true });
  try {
    const result = await scenario({
      ...cluster,
      browser,
      blocked,
      said,
      shot,
      folder,
      seconds,
      step: (now) => {
        step = now;
      },
    });
    console.log(JSON.stringify({ ok: true, scenario: name, ms: Date.now() - started, ...result }));
  } catch (cause) {
    failed = true;
    const pages = [browser, blocked].flatMap((each) => each?.contexts().flatMap((context) => context.pages()) ?? []);
    const take = (page, index) =>
      page.screenshot({ path: `${folder}/failed-${name}-${index}.png` }).catch(() => undefined);
    await Promise.all(pages.map(take));
    console.error(
      `FAILED ${name} at "${step}": ${String(cause?.message ?? cause)
        .split("\n")
        .slice(0, 6)
        .join("\n  ")}`,
    );
    console.error(`  pictures in ${folder}`);
    for (const line of [...new Set(said)].slice(0, 8)) console.error(`  the page said: ${line}`);
  } finally {
    await Promise.all([browser.close(), blocked?.close()]);
  }
}
