/**
 * First paint of the open pages on a CPU four times slower over a 10 Mbit/s line with 40 ms round trip, five loads each without a cache: the median, and the
 * bytes of script that came. One JSON line a page.
 *
 * KEYSTONE_URL  a running cluster's address, http://127.0.0.1:8880
 */
import { launch, open } from "./browser.mjs";

const base = (process.env.KEYSTONE_URL ?? "http://127.0.0.1:8880").replace(/\/+$/, "");
const LOADS = 5;
const LINE = { offline: false, latency: 40, downloadThroughput: 10e6 / 8, uploadThroughput: 5e6 / 8 };

const browser = await launch();
try {
  for (const path of ["/", "/watch/nosuchstream1", "/signin"]) {
    const paints = [];
    let script = 0;
    for (let load = 0; load < LOADS; load++) {
      const page = await open(browser, []);
      const session = await page.context().newCDPSession(page);
      await session.send("Network.enable");
      await session.send("Network.emulateNetworkConditions", LINE);
      await session.send("Emulation.setCPUThrottlingRate", { rate: 4 });
      await page.goto(base + path);
      await page.locator("h1").first().waitFor();
      const seen = await page.evaluate(() => ({
        paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
        script: performance
          .getEntriesByType("resource")
          .filter(({ name }) => name.endsWith(".js"))
          .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
      }));
      paints.push(seen.paint);
      script = seen.script;
      await page.context().close();
    }
    paints.sort((a, b) => a - b);
    console.log(JSON.stringify({ path, first_paint_ms: Math.round(paints[(LOADS - 1) / 2]), script_bytes: script }));
  }
} finally {
  await browser.close();
}
