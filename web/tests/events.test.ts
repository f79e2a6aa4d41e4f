import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EventParser, type Listening, listen, type ServerEvent } from "../src/api/events";
import { read, voided } from "../src/api/news";

describe("EventParser", () => {
  const all = (...chunks: string[]): ServerEvent[] => {
    const parser = new EventParser();
    return chunks.flatMap((chunk) => parser.push(chunk));
  };
  test("names, data over lines, comments, and every end of line", () => {
    expect(all("retry: 2000\n\n: still here\n\nevent: a\ndata: 1\n\n")).toEqual([{ name: "a", data: "1" }]);
    expect(all("event: a\r\ndata: 1\r\ndata:2\r\n\r\n")).toEqual([{ name: "a", data: "1\n2" }]);
    expect(all("data: x\r\r", "")).toEqual([]);
    expect(all("data: x\r\r", "\n")).toEqual([{ name: "message", data: "x" }]);
    expect(all("event: unheard\n\n")).toEqual([]);
  });
  test("it does not matter where the network cuts", () => {
    const text = 'event: stream_live\r\ndata: {"é":1}\r\n\r\nevent: b\ndata: 2\n\n';
    const whole = all(text);
    expect(whole).toHaveLength(2);
    for (let cut = 0; cut <= text.length; cut++) expect(all(text.slice(0, cut), text.slice(cut))).toEqual(whole);
    expect(all(...text)).toEqual(whole);
  });
  test("an endless event is dropped, and the next one is heard", () => {
    const long = `data: ${"x".repeat(300_000)}\n`;
    expect(all(long, "\n", "data: next\n\n")).toEqual([{ name: "message", data: "next" }]);
  });
});

describe("listen", () => {
  let opened: number;
  let told: string[];
  let answer: () => Promise<Response>;
  const start = (more: Partial<Listening> = {}) =>
    listen({
      open: () => {
        opened++;
        return answer();
      },
      heard: ({ name }) => told.push(name),
      connected: () => told.push("+"),
      lost: () => told.push("-"),
      random: () => 1,
      ...more,
    });
  beforeEach(() => {
    vi.useFakeTimers();
    opened = 0;
    told = [];
  });
  afterEach(() => void vi.useRealTimers());
  const body = (...chunks: string[]) =>
    new Response(
      new ReadableStream({
        start(controller) {
          for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
          controller.close();
        },
      }),
    );

  test("connects again after each end, and says so each time", async () => {
    answer = async () => body("event: a\ndata: 1\n\n");
    const stop = start();
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual(["+", "a", "-"]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual(["+", "a", "-", "+", "a", "-"]);
    stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(opened).toBe(2);
  });
  test("waits longer after each failure, to an end", async () => {
    answer = () => Promise.reject(new Error("refused"));
    const stop = start();
    await vi.advanceTimersByTimeAsync(7_000);
    expect(opened).toBe(4);
    await vi.advanceTimersByTimeAsync(300_000);
    expect(opened).toBeGreaterThan(10);
    expect(opened).toBeLessThan(17);
    stop();
  });
  test("what is hopeless is not tried again", async () => {
    answer = () => Promise.reject(new Error("401"));
    start({ hopeless: () => true });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(opened).toBe(1);
  });
  test("a connection that falls silent is given up", async () => {
    let aborted = false;
    const stop = start({
      open: (signal) => {
        opened++;
        signal.addEventListener("abort", () => {
          aborted = true;
        });
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
      },
    });
    await vi.advanceTimersByTimeAsync(42_000);
    expect(aborted).toBe(true);
    expect(opened).toBe(2);
    stop();
  });
});

describe("news", () => {
  test("names the stream and node wherever the event has them", () => {
    const live = { event: "stream_live", placement: { stream: "cam1", node: "n1", protocol: "webrtc" }, owner: "u" };
    expect(read({ name: "stream_live", data: JSON.stringify(live) })).toEqual({
      name: "stream_live",
      stream: "cam1",
      node: "n1",
      says: "webrtc",
    });
    const closed = { event: "session_closed", id: "s", stream: "cam1", reason: "node_lost" };
    expect(read({ name: "session_closed", data: JSON.stringify(closed) })).toMatchObject({
      stream: "cam1",
      says: "node lost",
    });
    expect(read({ name: "x", data: "{" })).toBeUndefined();
  });
  test("voids what may have changed, and nothing else", () => {
    const keys = (name: string) => voided({ name, stream: "cam1" }).map((key) => key.join(" "));
    expect(keys("stream_live")).toEqual(expect.arrayContaining(["streams", "stream cam1", "broadcasts cam1", "nodes"]));
    expect(keys("session_opened")).toEqual(expect.arrayContaining(["sessions cam1", "stream cam1"]));
    expect(keys("node_down")).toEqual(expect.arrayContaining(["nodes", "route"]));
    expect(keys("something_new")).toEqual([]);
  });
});
