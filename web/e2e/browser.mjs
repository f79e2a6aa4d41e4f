/** What every run in a real browser needs: Chromium with fake devices, pages that remember what they said, an account with a stream. */
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
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
  "--autoplay-policy=no-user-gesture-required",
  // Candidates as addresses rather than as mDNS names.
  "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
];

/** Chromium with a fake camera and microphone. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
  });
}

/** A page of its own context; what it complains of goes into `said`. */
export async function open(browser, said, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 850 }, ...options });
  if (process.env.KEYSTONE_E2E_ICE === "tcp") await context.addInitScript(onlyTcp);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => said.push(String(error)));
  page.on("console", (line) => line.type() === "error" && said.push(line.text()));
  return page;
}

/** As on a network that lets no UDP through: answers lose their UDP candidates. Runs in the page. */
function onlyTcp() {
  const set = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    const sdp = description.sdp.replace(/^a=candidate:\S+ \d+ udp .*\r\n/gim, "");
    return set.call(this, { type: description.type, sdp });
  };
}

/** Registers on the page of `base` and ends at "My streams". Pictures are taken by `shot(page, name)`. */
export async function register(page, base, shot) {
  await page.goto(`${base}/`);
  const email = `e2e-${Date.now()}-${Math.random().toString(36).slice(2, 8)}@example.com`;
  await page.getByRole("link", { name: "Register" }).click();
  await page.getByLabel("Name").fill("Ada");
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill("correct horse battery");
  await shot(page, "register");
  await page.getByRole("button", { name: "Register" }).click();
  await page.getByRole("heading", { name: "My streams" }).waitFor();
}
