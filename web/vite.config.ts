import preact from "@preact/preset-vite";
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

export default defineConfig({
  plugins: [preact()],
  server: { port: 5173, proxy },
  preview: { port: 4173, proxy },
  build: { target: "es2022", sourcemap: false },
  test: { environment: "happy-dom", include: ["tests/**/*.test.{ts,tsx}"], restoreMocks: true },
});
