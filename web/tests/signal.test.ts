import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { open } from "../src/rtc/signal";

/** As much of a peer connection as signalling touches. */
class Peer extends EventTarget {
  localDescription: { sdp: string } | null = null;
  iceGatheringState = "new";
  signalingState = "stable";
  answer: string | undefined;
  async setLocalDescription(): Promise<void> {
    this.localDescription = { sdp: "v=0\r\nm=audio 9 X 111\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=mid:0\r\n" };
  }
  async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    if (!sdp.startsWith("v=0")) throw new Error("no SDP");
    this.answer = sdp;
  }
  found(candidate: string | null): void {
    if (candidate === null) this.iceGatheringState = "complete";
    this.dispatchEvent(
      Object.assign(new Event("icecandidate"), { candidate: candidate === null ? null : { candidate } }),
    );
  }
}

interface Asked {
  url: string;
  method: string;
  headers: Headers;
  body: unknown;
}

describe("open", () => {
  let asked: Asked[];
  let answers: Record<string, () => Response>;
  const peer = () => {
    const made = new Peer();
    return { made, pc: made as unknown as RTCPeerConnection };
  };
  const created =
    (headers: Record<string, string>, body = "v=0\r\nanswer", url = "http://edge.test/rtc/v1/whip/cam1") =>
    () => {
      const answer = new Response(body, { status: 201, headers });
      Object.defineProperty(answer, "url", { value: url });
      return answer;
    };

  beforeEach(() => {
    vi.useFakeTimers();
    asked = [];
    answers = { PATCH: () => new Response(null, { status: 204 }), DELETE: () => new Response(null) };
    vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
      asked.push({ url, method: String(init.method), headers: new Headers(init.headers), body: init.body });
      const answer = answers[String(init.method)];
      if (!answer) throw new TypeError("network");
      return answer();
    });
  });
  afterEach(() => void vi.useRealTimers());

  const methods = () => asked.map(({ method }) => method);

  test("follows Location from the URL that answered, trickles with the tag, and deletes once", async () => {
    const { made, pc } = peer();
    answers.POST = created(
      { Location: "/rtc/v1/sessions/abc", ETag: '"t1"' },
      undefined,
      "http://other.test/rtc/v1/whip/cam1",
    );
    const session = await open(pc, "http://edge.test/rtc/v1/whip/cam1", "tok");
    expect(made.answer).toContain("answer");
    made.found("candidate:1 1 udp 1 192.0.2.2 5 typ host");
    made.found("candidate:2 1 udp 1 192.0.2.3 5 typ host");
    made.found(null);
    await vi.advanceTimersByTimeAsync(200);
    await session.close();
    await session.close();
    expect(methods()).toEqual(["POST", "PATCH", "DELETE"]);
    for (const each of asked.slice(1)) expect(each.url).toBe("http://other.test/rtc/v1/sessions/abc");
    for (const each of asked) expect(each.headers.get("Authorization")).toBe("Bearer tok");
    expect(asked[1]?.headers.get("If-Match")).toBe('"t1"');
    expect(String(asked[1]?.body)).toContain("a=candidate:2 1 udp 1 192.0.2.3 5 typ host\r\na=end-of-candidates");
  });

  test("a server that refuses candidates is asked once and the session stays", async () => {
    const { made, pc } = peer();
    answers.POST = created({ Location: "http://edge.test/s/1" });
    answers.PATCH = () => new Response(null, { status: 405 });
    await open(pc, "http://edge.test/rtc/v1/whip/cam1");
    made.found("candidate:1 1 udp 1 192.0.2.2 5 typ host");
    await vi.advanceTimersByTimeAsync(200);
    made.found("candidate:2 1 udp 1 192.0.2.2 6 typ host");
    await vi.advanceTimersByTimeAsync(200);
    expect(methods()).toEqual(["POST", "PATCH"]);
    expect(asked[1]?.headers.get("If-Match")).toBe("*");
  });

  test("an answer that is not understood leaves no session behind", async () => {
    const { pc } = peer();
    answers.POST = created({ Location: "/s/1" }, "<html>");
    await expect(open(pc, "http://edge.test/rtc/v1/whip/cam1")).rejects.toMatchObject({ code: "bad-answer" });
    expect(methods()).toEqual(["POST", "DELETE"]);
  });

  test("a refusal is thrown with its code, and no answer as such", async () => {
    answers.POST = () =>
      Response.json(
        { code: "stream-not-live", detail: "nobody publishes the stream" },
        { status: 409, headers: { "Retry-After": "2" } },
      );
    await expect(open(peer().pc, "/rtc/v1/whep/cam1")).rejects.toMatchObject({
      status: 409,
      code: "stream-not-live",
      retryAfter: 2,
    });
    delete answers.POST;
    await expect(open(peer().pc, "/rtc/v1/whep/cam1")).rejects.toMatchObject({ status: 0, code: "network" });
  });

  test("without Location there is nothing to delete", async () => {
    answers.POST = created({});
    const session = await open(peer().pc, "/rtc/v1/whep/cam1");
    await session.close();
    expect(methods()).toEqual(["POST"]);
  });
});
