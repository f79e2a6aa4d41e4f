import preact from "@preact/preset-vite";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// `make run-web`: one origin in front of two services run on the host, as Caddy is in front of them elsewhere.
const control = process.env.KEYSTONE_CONTROL ?? "http://127.0.0.1:8081";
const edge = process.env.KEYSTONE_EDGE ?? "http://127.0.0.1:8082";
const proxy = {
  "/api": { target: control, rewrite: (path: string) => path.replace(/^\/api/, "") },
  "/rtc": { target: edge },
  "/live": { target: edge },
  "/hls": { target: edge },
};

/** `/embed/{stream}` is a page of its own, as it is behind Caddy. */
const embed: Plugin = {
  name: "embed-page",
  configureServer(server) {
    server.middlewares.use((request, _, next) => {
      if (request.url?.startsWith("/embed/")) request.url = "/embed.html";
      next();
    });
  },
};

export default defineConfig({
  plugins: [preact(), embed],
  server: { port: 5173, proxy },
  preview: { port: 4173, proxy },
  build: {
    target: "es2022",
    sourcemap: false,
    manifest: true,
    // Nothing inline: the pages' policy allows no data: scripts, and small files are cheap over one connection.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "embed.html"] },
  },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"], restoreMocks: true },
});
