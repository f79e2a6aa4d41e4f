/** What every run in a real browser needs: Chromium with fake devices, pages that remember what they said, and the ways through the page. */
import { chromium } from "playwright-core";

/** For every single thing waited for, ms. */
export const PATIENCE = 20_000;

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // More cameras to change to, of which the second (depth pictures) cannot be encoded; a screen is given as well.
  "--use-fake-device-for-media-stream=device-count=3",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  // Candidates as addresses rather than as mDNS names.
  "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
];

/** Chromium with a fake camera and microphone; what the camera sees may be a file (`KEYSTONE_E2E_CAMERA`, .mjpeg or .y4m). */
export function launch(flags = []) {
  const camera = process.env.KEYSTONE_E2E_CAMERA;
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: [...FLAGS, ...flags, ...(camera ? [`--use-file-for-fake-video-capture=${camera}`] : [])],
  });
}

/** A page of its own context; what it complains of goes into `said`. */
export async function open(browser, said, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 850 }, ...options });
  if (process.env.KEYSTONE_E2E_ICE === "tcp") await context.addInitScript(onlyTcp);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => said.push(String(error)));
  // What the services answered when they failed: a browser's own line names only the status.
  page.on("response", async (answer) => {
    if (answer.status() < 500) return;
    const body = await answer.text().catch(() => "");
    said.push(`${answer.request().method()} ${answer.url()}: ${answer.status()} ${body.slice(0, 300)}`);
  });
  page.on("console", (line) => line.type() === "error" && said.push(`${page.url()}: ${line.text()}`));
  return page;
}

export const PASSWORD = "correct horse battery";

/** As on a network that lets no UDP through: answers lose their UDP candidates. Runs in the page. */
function onlyTcp() {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    const sdp = description.sdp.replace(/^a=candidate:\S+ \d+ udp .*\r\n/gim, "");
    return set.call(this, { type: description.type, sdp });
  };
}

/** Registers on the page of `base` and ends at "My streams"; returns the e-mail. */
export async function register(page, base, shot = async () => undefined) {
  await page.goto(`${base}/`);
  const email = `e2e-${Date.now()}-${Math.random().toString(36).slice(2, 8)}@example.com`;
  await page.getByRole("link", { name: "Register", exact: true }).click();
  await page.getByLabel("Name").fill("Ada");
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await shot(page, "register");
  await page.getByRole("button", { name: "Register" }).click();
  await page.getByRole("heading", { name: "My streams" }).waitFor();
  return email;
}

/** Signs in and ends where the page leads. */
export async function signIn(page, base, email, password = PASSWORD) {
  await page.goto(`${base}/signin`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Makes a stream from "My streams" and ends on its page; returns its id. */
export async function createStream(page, title, visibility = "Public") {
  await page.getByRole("button", { name: /New stream|Make your first stream/ }).click();
  await page.getByLabel("Title").fill(title);
  await page.getByRole("radio", { name: new RegExp(`^${visibility}`) }).check();
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { name: title }).waitFor();
  return new URL(page.url()).pathname.split("/")[2];
}

/** From a stream's page: camera on, then live. */
export async function goLive(page) {
  await page.getByRole("link", { name: "Go live", exact: true }).click();
  await page.getByRole("button", { name: "Use the camera" }).click();
  await page.locator('[data-phase="idle"]').waitFor();
  await page.getByLabel("Quality").selectOption("360p");
  await page.getByRole("button", { name: "Go live" }).click();
  await page.locator('[data-phase="live"]').waitFor();
}

/** Waits until a figure that the page shows is at least `least`. */
export async function rises(page, figure, least) {
  await page.waitForFunction(
    ([name, count]) =>
      Number.parseInt(document.querySelector(`[data-figure="${name}"]`)?.textContent ?? "0", 10) >= count,
    [figure, least],
  );
}

/** The page's figures, as whole numbers. */
export async function figures(page) {
  return page.evaluate(() =>
    Object.fromEntries(
      [...document.querySelectorAll("[data-figure]")].map((e) => [
        e.dataset.figure,
        Number.parseInt(e.textContent, 10),
      ]),
    ),
  );
}

/** Frames that the page's player decodes from now on: waits until `least` more have come. */
export async function plays(page, least = 15, timeout = PATIENCE) {
  await page.waitForFunction(
    (count) => {
      const video = document.querySelector(".stage video");
      const now = video?.getVideoPlaybackQuality().totalVideoFrames ?? 0;
      // Another session begins again from 0.
      if (window.countedFrom === undefined || now < window.countedFrom) window.countedFrom = now;
      if (now - window.countedFrom < count) return false;
      window.countedFrom = undefined;
      return true;
    },
    least,
    { polling: 100, timeout },
  );
}
