import { describe, expect, test } from "vitest";
import { Problem } from "../src/api/problem";
import { fragment } from "../src/rtc/fragment";
import { pause } from "../src/rtc/player";
import { rates, read } from "../src/rtc/stats";
import { h264First } from "../src/rtc/whip";

const SDP = [
  "v=0",
  "a=group:BUNDLE 0 1",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=ice-ufrag:abcd",
  "a=ice-pwd:0123456789012345678901",
  "a=mid:0",
  "m=video 9 UDP/TLS/RTP/SAVPF 102",
  "a=ice-ufrag:other",
  "a=mid:1",
  "",
].join("\r\n");

describe("fragment", () => {
  test("tells of the first section only, and ends it when gathering did", () => {
    expect(
      fragment({ sdp: SDP, candidates: ["candidate:1 1 udp 2122260223 192.0.2.2 50000 typ host"], complete: true }),
    ).toBe(
      [
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
        "a=candidate:1 1 udp 2122260223 192.0.2.2 50000 typ host",
        "a=end-of-candidates",
        "",
      ].join("\r\n"),
    );
    expect(fragment({ sdp: SDP, candidates: [], complete: false })).not.toContain("end-of-candidates");
  });

  test("reads what stands at session level", () => {
    expect(
      fragment({ sdp: "v=0\na=ice-ufrag:s\na=ice-pwd:p\nm=video 9 X 96\na=mid:v\n", candidates: [], complete: false }),
    ).toBe("a=ice-ufrag:s\r\na=ice-pwd:p\r\nm=video 9 X 96\r\na=mid:v\r\n");
  });
});

test("H.264 first, baseline before high, repair last, nothing else", () => {
  const codecs = [
    { mimeType: "video/VP8" },
    { mimeType: "video/rtx" },
    { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f" },
    { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f" },
    { mimeType: "video/H264", sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f" },
    { mimeType: "video/AV1" },
  ];
  expect(h264First(codecs)).toEqual([codecs[4], codecs[3], codecs[2], codecs[1]]);
  expect(h264First([{ mimeType: "video/VP8" }])).toEqual([]);
});

describe("pause", () => {
  const problem = (status: number, code = "x", retryAfter?: number) => new Problem(status, code, "", retryAfter);
  test.each([
    [problem(409, "stream-not-live", 2), 0, 2],
    [problem(409, "stream-not-live"), 9, 2],
    [problem(503, "away", 7), 0, 7],
    [problem(429, "rate-limited", 30), 0, 30],
    [problem(502), 0, 1],
    [problem(0, "network"), 3, 8],
    [problem(0, "network"), 99, 15],
  ])("%o after %i failures is %i s", (refusal, tries, expected) => {
    expect(pause(refusal, tries)).toBe(expected);
  });
  test.each([401, 403, 404, 422])("%i is final", (status) => {
    expect(pause(problem(status), 0)).toBeUndefined();
  });
  test("an answer the browser does not understand is final", () => {
    expect(pause(problem(0, "bad-answer"), 0)).toBeUndefined();
  });
});

describe("stats", () => {
  const rows = [
    {
      type: "inbound-rtp",
      kind: "video",
      framesDecoded: 60,
      bytesReceived: 100_000,
      packetsLost: 2,
      frameWidth: 640,
      frameHeight: 360,
    },
    { type: "inbound-rtp", kind: "audio", packetsReceived: 100, bytesReceived: 25_000, packetsLost: -1 },
    { type: "outbound-rtp", kind: "video", framesSent: 7, bytesSent: 9 },
    { type: "transport", bytesReceived: 1 },
  ];
  test("sums one direction", () => {
    expect(read(rows, "inbound-rtp", 5)).toMatchObject({
      at: 5,
      frames: 60,
      audioPackets: 100,
      bytes: 125_000,
      lost: 2,
      width: 640,
      height: 360,
    });
    expect(read(rows, "outbound-rtp", 5)).toMatchObject({ frames: 7, bytes: 9 });
  });
  test("rates are per second between two readings", () => {
    const before = { at: 1000, frames: 30, audioPackets: 0, bytes: 0, lost: 0, width: 0, height: 0 };
    expect(rates({ ...before, at: 3000, frames: 90, bytes: 125_000 }, before)).toMatchObject({ fps: 30, kbps: 500 });
    expect(rates(before, undefined)).toMatchObject({ fps: 0, kbps: 0 });
    expect(rates(before, before)).toMatchObject({ fps: 0, kbps: 0 });
    expect(rates(before, before).latency).toBeUndefined();
  });
  test("the delay is the buffer's wait of late and half the round trip", () => {
    const row = (seconds: number, count: number) => [
      { type: "inbound-rtp", kind: "video", jitterBufferDelay: seconds, jitterBufferEmittedCount: count },
      { type: "candidate-pair", nominated: true, currentRoundTripTime: 0.04 },
      { type: "candidate-pair", nominated: false, currentRoundTripTime: 9 },
    ];
    const [before, now] = [read(row(100, 1000), "inbound-rtp", 0), read(row(103, 1030), "inbound-rtp", 1000)];
    expect(rates(now, before)).toMatchObject({ latency: 120, rtt: 40 });
    expect(rates(before, before).latency).toBeUndefined();
  });
  test("why the encoder holds back is told, unless it does not", () => {
    const row = (qualityLimitationReason: string) => [{ type: "outbound-rtp", kind: "video", qualityLimitationReason }];
    expect(read(row("cpu"), "outbound-rtp", 0).limited).toBe("cpu");
    expect(read(row("none"), "outbound-rtp", 0).limited).toBeUndefined();
  });
});
