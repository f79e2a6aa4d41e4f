import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Problem } from "../src/api/problem";
import { play, type State } from "../src/rtc/player";
import type { Watching } from "../src/rtc/whep";

/** As much of a session as the player sees; `bring` lets a frame come in. */
class Session extends EventTarget {
  connectionState = "new";
  signalingState = "stable";
  frames = 0;
  async getStats(): Promise<Map<string, object>> {
    return new Map([["v", { type: "inbound-rtp", kind: "video", framesDecoded: this.frames }]]);
  }
  become(state: string): void {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }
}

let sessions: Session[];
let refuse: Problem | undefined;
vi.mock("../src/rtc/whep", () => ({
  watch: async (): Promise<Watching> => {
    if (refuse) throw refuse;
    const pc = new Session();
    sessions.push(pc);
    return { pc: pc as unknown as RTCPeerConnection, media: {} as MediaStream, stop: async () => undefined };
  },
}));

let told: State["state"][];
let player: { stop(): void };
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const last = () => sessions.at(-1) as Session;
const flow = async (seconds: number) => {
  for (let second = 0; second < seconds; second++) {
    last().frames += 30;
    await pass(1_000);
  }
};
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
  sessions = [];
  refuse = undefined;
  told = [];
  player = play(
    "cam1",
    async () => undefined,
    ({ state }) => told.push(state),
    () => undefined,
  );
  await pass(0);
});
afterEach(() => {
  player.stop();
  vi.useRealTimers();
});

test("a session over which nothing ever comes is blocked, and that is the end of it", async () => {
  expect(told).toEqual(["connecting", "playing"]);
  await pass(7_500);
  expect(told.at(-1)).toBe("blocked");
  await pass(60_000);
  expect(sessions).toHaveLength(1);
});

test("a refused path is blocked as soon as the browser says so", async () => {
  last().become("failed");
  expect(told.at(-1)).toBe("blocked");
});

test("a publisher who is connected but silent is waited for, and blocks nothing", async () => {
  for (let round = 1; round <= 5; round++) {
    expect(sessions).toHaveLength(round);
    last().become("connected");
    // Given up after 3 s of silence, and begun anew after a growing pause.
    await pass(4_000 + 2_000 * round);
  }
  expect(told).not.toContain("blocked");
});

test("once it has played, a node that goes is no block: it starts again by itself", async () => {
  last().become("connected");
  await flow(5);
  // Nothing comes any more; the next two sessions are answered by a node that goes at once.
  await pass(5_000);
  expect(sessions).toHaveLength(2);
  last().become("failed");
  await pass(3_000);
  expect(sessions).toHaveLength(3);
  last().become("connected");
  await flow(3);
  expect(told).not.toContain("blocked");
  expect(told.at(-1)).toBe("playing");
});

test("not live is waited for, a refusal is final", async () => {
  last().become("connected");
  await flow(2);
  refuse = new Problem(409, "stream-not-live", "x", 2);
  await pass(6_000);
  expect(told.at(-1)).toBe("waiting");
  refuse = new Problem(401, "token-missing", "x");
  await pass(3_000);
  expect(told.at(-1)).toBe("refused");
});
