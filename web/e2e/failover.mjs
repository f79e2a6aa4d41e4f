/**
 * One browser publishes and two watch, each through an edge of its own, while somebody does things to the cluster. Prints `{"ready":…}` when
 * both see the picture; then every line on standard input is a mark ("kill node-1"), and its end ends the run once both see it again. The answer
 * is one JSON line: for each mark and viewer, the longest time without a new picture until the next mark, how many sessions were opened and when
 * (ms after the mark), and the pictures of each second.
 *
 * KEYSTONE_URL    the cluster's address, http://127.0.0.1:8880
 * KEYSTONE_EDGES  an edge's origin for each viewer, http://127.0.0.1:8082,http://127.0.0.1:8182
 * KEYSTONE_SCREENSHOTS  folder for a picture of each viewer at each mark and at the end
 */
import { mkdir } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createStream, goLive, launch, open, register } from "./browser.mjs";

const base = (process.env.KEYSTONE_URL ?? "http://127.0.0.1:8880").replace(/\/+$/, "");
const edges = (process.env.KEYSTONE_EDGES ?? "http://127.0.0.1:8082,http://127.0.0.1:8182").split(",");
const folder =
  process.env.KEYSTONE_SCREENSHOTS ?? fileURLToPath(new URL("../../.keystone/screenshots", import.meta.url));
const said = [];

async function main() {
  await mkdir(folder, { recursive: true });
  const browsers = await Promise.all([launch(), ...edges.map(() => launch())]);
  try {
    await run(browsers);
  } finally {
    await Promise.all(browsers.map((browser) => browser.close()));
  }
}

async function run([first, ...others]) {
  const publisher = await open(first, said, { permissions: ["camera", "microphone"] });
  await register(publisher, base);
  const id = await createStream(publisher, "Failover");
  await goLive(publisher);
  const viewers = await Promise.all(others.map((browser, at) => viewer(browser, id, edges[at])));
  console.log(JSON.stringify({ ready: true, stream: id }));

  const marks = [{ name: "watching", at: Date.now() }];
  for await (const line of createInterface({ input: process.stdin })) {
    marks.push({ name: line.trim(), at: Date.now() });
    await Promise.all(
      viewers.map((v, at) => v.page.screenshot({ path: `${folder}/failover-${marks.length}-${at}.png` })),
    );
  }
  await Promise.all(viewers.map(seesAgain));
  const over = Date.now();
  await Promise.all(viewers.map((v, at) => v.page.screenshot({ path: `${folder}/failover-end-${at}.png` })));
  const seen = await Promise.all(viewers.map((v) => v.page.evaluate(() => window.framesSeen)));
  const rows = marks.map(({ name, at }, index) => ({
    mark: name,
    viewers: viewers.map((v, which) => told(v, seen[which], at, marks[index + 1]?.at ?? over)),
  }));
  console.log(JSON.stringify({ stream: id, rows, said: [...new Set(said)].slice(0, 10) }));
  // Both had pictures before the first mark, which may come within the time of one.
  if (rows.slice(1).some((row) => row.viewers.some((v) => v.frames === 0))) process.exitCode = 1;
}

/** Waits for another 30 pictures. */
async function seesAgain({ page }) {
  const seen = await page.evaluate(() => window.framesSeen.length);
  await page.waitForFunction((before) => window.framesSeen.length > before + 30, seen);
}

/** What one viewer saw between two times. */
function told(viewer, times, from, to) {
  const within = times.filter((at) => at >= from && at < to);
  const edgesOf = [from, ...within, to];
  const gaps = edgesOf.slice(1).map((at, index) => at - edgesOf[index]);
  const opened = viewer.opened.filter((at) => at >= from && at < to).map((at) => at - from);
  const seconds = new Array(Math.ceil((to - from) / 1000)).fill(0);
  for (const at of within) seconds[Math.floor((at - from) / 1000)] += 1;
  return {
    edge: viewer.edge,
    frames: within.length,
    longest_gap_ms: Math.round(Math.max(...gaps)),
    opened_ms: opened,
    frames_each_second: seconds,
  };
}

async function viewer(browser, id, edge) {
  const page = await open(browser, said);
  const opened = [];
  // Everything of `/rtc` goes to this viewer's edge; the page knows nothing of it.
  await page.route("**/rtc/**", (route) => {
    const url = new URL(route.request().url());
    if (route.request().method() === "POST") opened.push(Date.now());
    return route.continue({ url: edge + url.pathname + url.search });
  });
  await page.addInitScript(() => {
    window.framesSeen = [];
    const follow = (video) => {
      const seen = () => {
        window.framesSeen.push(Date.now());
        video.requestVideoFrameCallback(seen);
      };
      video.requestVideoFrameCallback(seen);
    };
    new MutationObserver(() => {
      for (const video of document.querySelectorAll("video:not([data-followed])")) {
        video.dataset.followed = "";
        follow(video);
      }
    }).observe(document, { childList: true, subtree: true });
  });
  await page.goto(`${base}/watch/${id}`);
  await page.waitForFunction(() => window.framesSeen.length > 10);
  return { page, edge, opened };
}

main().catch((cause) => {
  console.error(`FAILED: ${String(cause?.message ?? cause).split("\n")[0]}`);
  for (const line of [...new Set(said)].slice(0, 5)) console.error(`  the page said: ${line}`);
  process.exitCode = 1;
});
