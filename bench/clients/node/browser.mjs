/**
 * Runs one JavaScript client in Chromium, on a page of another origin than the cluster's, so that CORS is really exercised.
 *
 *     node browser.mjs CLIENT URL SECONDS [TOKEN]      CLIENT: see page.mjs
 *
 * Prints one JSON line: {"frames_video", "frames_audio", "state"}; a viewer's are decoded frames and audio packets received.
 */
import { once } from "node:events";
import http from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [client, url, seconds = "5", token] = process.argv.slice(2);

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
  "--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks",
];

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

async function bundle() {
  const built = await build({
    entryPoints: [here("page.mjs")],
    bundle: true,
    format: "iife",
    write: false,
    logLevel: "error",
    // The reader's package has a React hook beside it, which nothing here uses.
    alias: { react: here("no-react.mjs"), "react/jsx-runtime": here("no-react.mjs") },
  });
  return built.outputFiles[0].contents;
}

async function main() {
  const script = await bundle();
  const server = http.createServer((request, answer) => {
    if (request.url === "/page.js") return answer.setHeader("content-type", "text/javascript").end(script);
    return answer.setHeader("content-type", "text/html").end("<!doctype html><video muted autoplay playsinline></video><script src=/page.js></script>");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: FLAGS });
  try {
    const context = await browser.newContext({ permissions: ["camera", "microphone"] });
    const page = await context.newPage();
    const said = new Set();
    page.on("pageerror", (error) => said.add(String(error)));
    page.on("console", (line) => line.type() === "error" && said.add(line.text()));
    await page.goto(`http://127.0.0.1:${server.address().port}/`);
    const counts = await page
      .evaluate(([name, where, key, length]) => window.run(name, where, key, length), [client, url, token, Number(seconds)])
      .finally(() => [...said].slice(0, 5).forEach((line) => void console.error(`  the page said: ${line.slice(0, 200)}`)));
    console.log(JSON.stringify(counts));
  } finally {
    await browser.close();
    server.close();
  }
}

await main().catch((cause) => {
  console.error(`${client}: ${String(cause.message).split("\n")[0]}`);
  process.exitCode = 1;
});
