import { describe, expect, test } from "vitest";
import { Problem } from "../src/api/problem";
import type { Node, Token } from "../src/api/types";
import { enrolment } from "../src/pages/admin/enrol";
import { drained, shares, standing } from "../src/pages/admin/shares";
import { loudness } from "../src/pages/live/meter";
import { larix, NO_KEY, recipes } from "../src/pages/stream/recipes";
import { open } from "../src/pages/stream/share";
import { addressed, asWhep } from "../src/play/hls";
import { columns } from "../src/ui/charts";
import { adviceFor } from "../src/ui/notice";
import { ago, between, bitrate, count, delay, span } from "../src/ui/time";
import { initial, protocolName, reasonName } from "../src/ui/words";

test("spans, amounts and delays read as people say them", () => {
  expect([0, 59, 60, 3_599, 3_660, 90_000, -5].map(span)).toEqual([
    "0 s",
    "59 s",
    "1 min",
    "59 min",
    "1 h 01 min",
    "1 d 1 h",
    "0 s",
  ]);
  expect([0, 999, 1_000, 12_345].map(bitrate)).toEqual(["0 kbit/s", "999 kbit/s", "1.0 Mbit/s", "12 Mbit/s"]);
  expect([0, 240, 4_240].map(delay)).toEqual(["0 ms", "240 ms", "4.2 s"]);
  expect([count(1, "viewer"), count(2, "viewer"), count(0, "entry", "entries")]).toEqual([
    "1 viewer",
    "2 viewers",
    "0 entries",
  ]);
  expect(ago(1_000, 2_000)).toBe("just now");
  expect(ago("1970-01-01T00:00:00Z", 61_000)).toBe("1 min ago");
  expect(between("1970-01-01T00:00:00Z", "1970-01-01T00:01:30Z")).toBe(90);
  expect(between("1970-01-01T00:00:00Z", undefined, 5_000)).toBe(5);
});

test("words of a newer server are shown as they are", () => {
  expect([protocolName("webrtc"), protocolName("moq")]).toEqual(["WebRTC", "moq"]);
  expect([reasonName("node_lost"), reasonName("eaten_by_bear")]).toEqual(["Its media node was lost", "eaten by bear"]);
  expect([initial(" ada"), initial("👩‍🚀x"), initial("")]).toEqual(["A", "👩", "?"]);
});

test.each([
  [new Problem(0, "network", "x"), /by itself/],
  [new Problem(429, "rate-limited", "x", 7), /in 7 s/],
  [new Problem(503, "postgres-away", "x"), /live streams go on/],
  [new Problem(403, "forbidden", "x"), /another account/],
  [new Problem(500, "internal", "x"), /fault of the server/],
  [new Error("x"), /Reload/],
])("%o comes with advice", (problem, advice) => {
  expect(adviceFor(problem)).toMatch(advice);
});

describe("recipes", () => {
  const ingest = {
    whip: "https://live.example/rtc/v1/whip/cam1",
    rtmp_server: "rtmp://live.example/live",
    rtmp_stream_key: "cam1?token={key}",
    srt: "srt://live.example:10080?streamid=%23!::r=live/cam1,m=publish,token={key}",
  };
  const texts = (key: string | undefined) =>
    recipes(ingest, "Show", key).flatMap(({ fields, qr }) => [...fields.map(({ value }) => value), qr?.text ?? ""]);
  test("every one has the key where it belongs, and none a placeholder left over", () => {
    const all = texts("sk_cam1_x");
    expect(all.join("\n")).not.toContain("{key}");
    expect(all.join("\n")).not.toContain(NO_KEY);
    for (const recipe of recipes(ingest, "Show", "sk_cam1_x"))
      expect(recipe.fields.some(({ value, secret }) => value.includes("sk_cam1_x") && secret)).toBe(true);
    expect(all).toContain("cam1?token=sk_cam1_x");
    expect(all.some((text) => text.includes('-f flv "rtmp://live.example/live/cam1?token=sk_cam1_x"'))).toBe(true);
  });
  test("without the key there is no secret, and a word that stands for it", () => {
    expect(texts(undefined).join("\n")).toContain(NO_KEY);
    for (const recipe of recipes(ingest, "Show", undefined))
      expect(recipe.fields.some(({ secret }) => secret)).toBe(false);
  });
  test("the phone's link survives a title with everything in it", () => {
    const url = new URL(larix("rtmp://h/live/a?token=b&c=d", "A & B #1 ü"));
    expect(url.searchParams.get("conn[][url]")).toBe("rtmp://h/live/a?token=b&c=d");
    expect(url.searchParams.get("conn[][name]")).toBe("A & B #1 ü");
  });
});

const node = (id: string, more: Partial<Node>): Node => ({
  id,
  state: "up",
  streams: 0,
  sessions: 0,
  warnings: [],
  weight: 1,
  ...more,
});

test("shares go by weight among nodes that take streams", () => {
  const nodes = [
    node("a", { weight: 3, streams: 1 }),
    node("b", { streams: 3 }),
    node("c", { draining: true, streams: 4 }),
    node("d", { state: "down" }),
  ];
  expect(shares(nodes).map(({ due, has }) => [due, has])).toEqual([
    [0.75, 0.125],
    [0.25, 0.375],
    [0, 0.5],
    [0, 0],
  ]);
  expect(shares([])).toEqual([]);
  expect(standing(node("a", { state: "down", draining: true })).word).toBe("Down");
  expect(standing(node("a", { draining: true, cordoned: true })).word).toBe("Draining");
  expect([drained(5, 10), drained(0, 0), drained(12, 10)]).toEqual([0.5, 1, 0]);
});

test("an enrolment has what was filled in, and nothing else", () => {
  const form = new FormData();
  form.set("id", " n9 ");
  form.set("weight", "2");
  expect(enrolment(form)).toEqual({ id: "n9", weight: 2, limits: {} });
  form.set("api", "10.0.0.9:1985");
  form.set("rtmp", "10.0.0.9:1935");
  form.set("streams", "40");
  form.set("zone", "west");
  form.set("srt_encrypted", "on");
  expect(enrolment(form)).toEqual({
    id: "n9",
    weight: 2,
    zone: "west",
    at: { api: "10.0.0.9:1985", rtmp: "10.0.0.9:1935", srt_encrypted: true },
    limits: { streams: 40 },
  });
});

test("share links are the play tokens that still let somebody in and are not the player's own", () => {
  const token = (id: string, more: Partial<Token>): Token => ({
    id,
    action: "play",
    single_use: false,
    created_at: "2026-01-01T00:00:00Z",
    expires_at: "2026-01-02T00:00:00Z",
    ...more,
  });
  const all = [
    token("good", {}),
    token("revoked", { revoked_at: "2026-01-01T01:00:00Z" }),
    token("publish", { action: "publish" }),
    token("player", { expires_at: "2026-01-01T00:02:00Z" }),
  ];
  expect(open(all, Date.parse("2026-01-01T00:01:00Z")).map(({ id }) => id)).toEqual(["good"]);
  expect(open(all, Date.parse("2026-01-03T00:00:00Z"))).toEqual([]);
});

test("a pause in the samples is a hole in the drawing", () => {
  const sample = (second: number, viewers: number) => ({
    at: new Date(second * 1000).toISOString(),
    viewers,
    kbps_in: 0,
    kbps_out: 0,
  });
  const { times, of } = columns([sample(0, 1), sample(10, 2), sample(300, 3)]);
  expect(times).toEqual([0, 10, 11, 300]);
  expect(of(({ viewers }) => viewers)).toEqual([1, 2, null, 3]);
});

test("loudness is 0 in silence and 1 at full", () => {
  expect(loudness(new Float32Array(64))).toBe(0);
  expect(loudness(new Float32Array(64).fill(1))).toBe(1);
  expect(loudness(new Float32Array(64).fill(0.03))).toBeCloseTo(0.49, 1);
  expect(loudness(new Float32Array())).toBe(0);
});

test("a stream that is not live is waited for, by HLS as by WHEP", () => {
  expect(asWhep(new Problem(404, "stream-not-live", "x")).status).toBe(409);
  expect(asWhep(new Problem(404, "stream-unknown", "x")).status).toBe(404);
});

test("a token goes behind a playlist whatever is there already", () => {
  expect(addressed("/live/cam1.m3u8", undefined)).toBe("/live/cam1.m3u8");
  expect(new URL(addressed("/live/cam1.m3u8?x=1", "a&b")).searchParams.get("token")).toBe("a&b");
});
