/**
 * The whole path in a real browser against a running cluster: register, create a stream, publish the (fake) camera, watch it in a second
 * page, and stop. What counts is what the viewer decoded. One JSON line at the end; exit 1 and one plain line when something failed.
 *
 * KEYSTONE_URL          the cluster's address, http://127.0.0.1:8880
 * CHROMIUM              the browser, /usr/bin/chromium
 * KEYSTONE_SCREENSHOTS  folder for pictures of every page, .keystone/screenshots at the top of the tree
 * KEYSTONE_E2E_SECONDS  how long frames have to go on rising, 5
 * KEYSTONE_E2E_ICE      `tcp`: only ICE-TCP candidates are left in answers
 */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { launch, open as openPage, register } from "./browser.mjs";

const base = (process.env.KEYSTONE_URL ?? "http://127.0.0.1:8880").replace(/\/+$/, "");
const folder =
  process.env.KEYSTONE_SCREENSHOTS ?? fileURLToPath(new URL("../../.keystone/screenshots", import.meta.url));
const seconds = Number(process.env.KEYSTONE_E2E_SECONDS ?? 5);

/** Fewest frames a second that count as a picture that moves: a loaded two-core machine decodes 30 in good times. */
const LEAST_FPS = 5;
/** Fewest audio packets a second; Opus sends 50. */
const LEAST_AUDIO = 20;
let step = "start";
const pages = [];
const said = [];

async function main() {
  await mkdir(folder, { recursive: true });
  step = "start Chromium";
  const browser = await launch();
  try {
    const result = await run(browser);
    console.log(JSON.stringify({ ok: true, ...result }));
  } catch (cause) {
    await Promise.all(
      pages.map((page, index) => page.screenshot({ path: `${folder}/failed-${index}.png` }).catch(() => undefined)),
    );
    throw cause;
  } finally {
    await browser.close();
  }
}

async function run(browser) {
  const publisher = await open(browser, { permissions: ["camera", "microphone"] });
  const viewer = await open(browser, {});

  step = `load ${base}`;
  await publisher.goto(`${base}/`);
  await publisher.getByRole("heading", { name: "Live now" }).waitFor();
  await shot(publisher, "directory-empty");

  step = "register";
  await register(publisher, base, shot);

  step = "create a stream";
  const title = `Evening show ${Date.now() % 100_000}`;
  await publisher.getByLabel("Title").fill(title);
  await publisher.getByRole("button", { name: "Create" }).click();
  const key = publisher.getByTestId("new-key");
  await key.getByText("RTMP: server").waitFor();
  await shot(publisher, "new-stream");
  const shown = await key.locator("code").first().textContent();
  if (!shown?.startsWith("sk_")) throw new Error(`the stream key shown is ${shown}`);

  step = "stay signed in over a reload";
  await publisher.reload();
  await publisher.getByRole("heading", { name: "My streams" }).waitFor();
  await publisher.getByRole("link", { name: title }).click();
  await publisher.getByRole("heading", { name: title }).waitFor();
  await publisher.getByText("RTMP: server").waitFor();
  await shot(publisher, "stream");
  const id = new URL(publisher.url()).pathname.split("/")[2];

  step = "wait for a stream that is not live";
  await viewer.goto(`${base}/watch/${id}`);
  await viewer.getByText("Not live yet").waitFor();
  await shot(viewer, "watch-waiting");

  step = "go live";
  await publisher.getByRole("link", { name: "Go live" }).click();
  await publisher.getByLabel("Quality").selectOption("360p");
  const started = Date.now();
  await publisher.getByRole("button", { name: "Go live" }).click();
  await publisher.locator('[data-phase="live"]').waitFor();
  await rises(publisher, "frames", 1);

  step = "watch";
  await rises(viewer, "frames", 1);
  const firstFrameMs = Date.now() - started;
  const before = await figures(viewer);
  await viewer.waitForTimeout(seconds * 1000);
  const after = await figures(viewer);
  await Promise.all([shot(publisher, "golive"), shot(viewer, "watch")]);
  const frames = after.frames - before.frames;
  const audio = after.audio - before.audio;
  if (frames < LEAST_FPS * seconds) throw new Error(`${frames} frames decoded in ${seconds} s`);
  if (audio < LEAST_AUDIO * seconds) throw new Error(`${audio} audio packets received in ${seconds} s`);

  step = "find it in the directory";
  const visitor = await open(browser, { viewport: { width: 360, height: 740 }, colorScheme: "dark" });
  await visitor.goto(`${base}/`);
  await visitor.getByRole("link", { name: title }).waitFor();
  await shot(visitor, "directory-phone-dark");
  await visitor.getByRole("link", { name: title }).click();
  await rises(visitor, "frames", 1);
  const wide = await visitor.evaluate(() => document.documentElement.scrollWidth);
  if (wide > 360) throw new Error(`the page is ${wide} px wide on a phone of 360 px`);
  await shot(visitor, "watch-phone-dark");

  step = "stop";
  await publisher.getByRole("button", { name: "Stop" }).click();
  await publisher.locator('[data-phase="idle"]').waitFor();
  await viewer.getByText("Not live yet").waitFor();

  step = "sign out";
  await publisher.getByRole("button", { name: "Sign out" }).click();
  await publisher.getByRole("link", { name: "Sign in" }).waitFor();
  return {
    stream: id,
    seconds,
    frames_video: frames,
    frames_audio: audio,
    first_frame_ms: firstFrameMs,
    kbps: after.kbps,
  };
}

async function open(browser, options) {
  const page = await openPage(browser, said, options);
  pages.push(page);
  return page;
}

async function shot(page, name) {
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

/** Waits until a figure that the page shows is at least `least`. */
async function rises(page, figure, least) {
  await page.waitForFunction(
    ([name, count]) =>
      Number.parseInt(document.querySelector(`[data-figure="${name}"]`)?.textContent ?? "0", 10) >= count,
    [figure, least],
  );
}

async function figures(page) {
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll("[data-figure]")].map((e) => [
        e.dataset.figure,
        Number.parseInt(e.textContent, 10),
      ]),
    ),
  );
}

main().catch((cause) => {
  const first = String(cause?.message ?? cause).split("\n")[0];
  console.error(`FAILED at "${step}": ${first} (pictures in ${folder})`);
  for (const line of [...new Set(said)].slice(0, 5)) console.error(`  the page said: ${line}`);
  process.exitCode = 1;
});
