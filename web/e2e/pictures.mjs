/**
 * Every page at 360 and 1,280 px, light and dark: a picture of each, and axe's verdict on each. A serious violation, a page wider than its
 * window, or a page that shows a refusal ends the run with exit 1.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { PATIENCE } from "./browser.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const SIZES = [
  ["360", { width: 360, height: 780 }],
  ["1280", { width: 1280, height: 850 }],
];
const SCHEMES = ["light", "dark"];

/** Serious and critical violations of what the page shows now. */
export async function violations(page) {
  await page.evaluate(AXE);
  const result = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ["violations"], rules: { "video-caption": { enabled: false } } }),
  );
  return result.violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(
      ({ id, nodes }) =>
        `${id}: ${nodes
          .map(({ target }) => target.join(" "))
          .slice(0, 3)
          .join(", ")}`,
    );
}

/** Whether every chart has something on it: another size or scheme is another drawing. Runs in the page. */
function drawn() {
  return [...document.querySelectorAll(".plot")].every((plot) => {
    const canvas = plot.querySelector("canvas");
    if (!canvas || Math.abs(canvas.clientWidth - plot.clientWidth) > 1) return false;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
  });
}

/** `pages`: name, path, what to wait for, and what to do before the picture. All are shown by one `page`, which may be signed in. */
export async function pictures(page, base, folder, pages) {
  const wrong = [];
  for (const { name, path, wait, act } of pages) {
    await page.setViewportSize(SIZES[1][1]);
    await page.goto(`${base}${path}`);
    await page.locator(wait).first().waitFor();
    await page.waitForFunction(() => document.querySelector(".waiting") === null, undefined, { timeout: PATIENCE });
    await act?.(page);
    for (const [size, viewport] of SIZES) {
      await page.setViewportSize(viewport);
      for (const colorScheme of SCHEMES) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        await page.waitForFunction(drawn);
        await page.screenshot({ path: `${folder}/${name}-${size}-${colorScheme}.png`, fullPage: true });
        // Colours differ by scheme, targets by size.
        if (size === "360" && colorScheme === "dark") continue;
        for (const violation of await violations(page)) wrong.push(`${name} at ${size}, ${colorScheme}: ${violation}`);
      }
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      if (wide > viewport.width) wrong.push(`${name} at ${size}: ${wide} px wide`);
    }
  }
  return wrong;
}

/** Pages that need nobody signed in. */
export const open_pages = (live) => [
  { name: "directory", path: "/", wait: ".cards li, .empty" },
  {
    name: "watch",
    path: `/watch/${live}`,
    wait: '.stage[data-flowing="true"]',
    // Rates are known with the second reading.
    act: async (page) => page.locator('[data-figure="kbps"]', { hasText: "bit/s" }).waitFor(),
  },
  { name: "watch-none", path: "/watch/nosuchstream1", wait: '[data-code="stream-unknown"]' },
  { name: "signin", path: "/signin", wait: "form" },
  { name: "register", path: "/register", wait: "form" },
  { name: "lost", path: "/nowhere/at/all", wait: "h1" },
  { name: "embed", path: `/embed/${live}`, wait: '.stage[data-flowing="true"]' },
];

/** A streamer's pages: `live` is on, `quiet` is private and off. */
export const own_pages = (live, quiet) => [
  { name: "streams", path: "/streams", wait: ".row" },
  {
    name: "new-stream",
    path: "/streams",
    wait: ".row",
    act: async (page) => {
      await page.getByRole("button", { name: "New stream" }).click();
      await page.getByRole("dialog").waitFor();
    },
  },
  { name: "stream", path: `/streams/${live}`, wait: ".plot canvas, .figures" },
  { name: "stream-off", path: `/streams/${quiet}`, wait: ".ways" },
  { name: "golive", path: `/streams/${quiet}/live`, wait: ".curtain" },
  {
    name: "golive-preview",
    path: `/streams/${quiet}/live`,
    wait: ".curtain",
    act: async (page) => {
      await page.getByRole("button", { name: "Use the camera" }).click();
      await page.locator('[data-phase="idle"]').waitFor();
      await page.waitForFunction(() => (document.querySelector(".stage video")?.videoWidth ?? 0) > 0);
    },
  },
  { name: "encoder", path: `/streams/${live}/encoder`, wait: ".recipe" },
  {
    name: "encoder-ffmpeg",
    path: `/streams/${live}/encoder`,
    wait: ".recipe",
    act: async (page) => {
      await page.getByText("ffmpeg", { exact: true }).click();
      await page.locator(".copy.block").first().waitFor();
    },
  },
  { name: "viewers", path: `/streams/${live}/viewers`, wait: "table" },
  {
    name: "kick",
    path: `/streams/${live}/viewers`,
    wait: "table",
    act: async (page) => {
      await page.getByRole("button", { name: "Kick" }).first().click();
      await page.getByRole("dialog").waitFor();
    },
  },
  {
    name: "history",
    path: `/streams/${live}/history`,
    wait: ".broadcast",
    act: async (page) => page.locator(".broadcast summary").first().click(),
  },
  { name: "settings", path: `/streams/${live}/settings`, wait: "form" },
  { name: "account", path: "/account", wait: ".facts" },
  { name: "reset", path: "/reset", wait: "form" },
];

/** An operator's. */
export const operator_pages = (live) => [
  { name: "admin", path: "/admin", wait: ".node-card" },
  { name: "admin-node", path: "/admin/nodes/node-0", wait: ".facts" },
  { name: "admin-enrol", path: "/admin/enrol", wait: "form" },
  { name: "admin-streams", path: "/admin/streams", wait: "table" },
  { name: "admin-placement", path: `/admin/streams/${live}`, wait: ".ring li" },
  { name: "admin-fleet", path: "/admin/fleet", wait: ".line" },
  { name: "admin-events", path: "/admin/events", wait: ".empty, .events" },
  { name: "admin-audit", path: "/admin/audit", wait: "table" },
  { name: "admin-users", path: "/admin/users", wait: "table" },
  {
    name: "admin-account",
    path: "/admin/users",
    wait: "table",
    act: async (page) => {
      await page
        .getByRole("button", { name: /^Change/ })
        .first()
        .click();
      await page.getByRole("dialog").waitFor();
    },
  },
];
