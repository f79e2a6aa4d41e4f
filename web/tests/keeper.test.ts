import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Problem } from "../src/api/problem";
import { type Keeping, keep } from "../src/rtc/keeper";

class Fake {
  pc = Object.assign(new EventTarget(), { connectionState: "new" as RTCPeerConnectionState });
  stop = vi.fn(async () => undefined);
  become(state: RTCPeerConnectionState): void {
    this.pc.connectionState = state;
    this.pc.dispatchEvent(new Event("connectionstatechange"));
  }
}

let opened: Fake[];
let told: Keeping<Fake>[];
let refuse: Problem | undefined;
const publish = async (): Promise<Fake> => {
  if (refuse) throw refuse;
  const fake = new Fake();
  opened.push(fake);
  return fake;
};
const states = () => told.map(({ state }) => state);
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers();
  opened = [];
  told = [];
  refuse = undefined;
});
afterEach(() => vi.useRealTimers());

const live = async () => {
  const keeper = keep(publish, (now) => told.push(now));
  await pass(0);
  opened[0]?.become("connected");
  return keeper;
};

test("a lost node is left and the stream published again", async () => {
  const keeper = await live();
  expect(states()).toEqual(["starting", "live"]);
  opened[0]?.become("disconnected");
  await pass(1_499);
  expect(opened).toHaveLength(1);
  await pass(1);
  expect(opened[0]?.stop).toHaveBeenCalledOnce();
  await pass(1);
  opened[1]?.become("connected");
  expect(states()).toEqual(["starting", "live", "again", "live"]);
  keeper.stop();
  expect(opened[1]?.stop).toHaveBeenCalledOnce();
});

test("a connection that comes back by itself is kept", async () => {
  await live();
  opened[0]?.become("disconnected");
  await pass(1_000);
  opened[0]?.become("connected");
  await pass(10_000);
  expect(opened).toHaveLength(1);
  expect(opened[0]?.stop).not.toHaveBeenCalled();
});

test("what never came up is not tried again", async () => {
  keep(publish, (now) => told.push(now));
  await pass(0);
  opened[0]?.become("failed");
  await pass(60_000);
  expect(opened).toHaveLength(1);
  expect(states()).toEqual(["starting", "failed"]);
});

test("a stream that somebody else has by now is left to them in the end", async () => {
  await live();
  refuse = new Problem(409, "stream-busy", "busy");
  opened[0]?.become("failed");
  await pass(120_000);
  expect(states().at(-1)).toBe("failed");
  expect(opened).toHaveLength(1);
});

test("a refusal that will not change ends it at once", async () => {
  await live();
  refuse = new Problem(403, "forbidden", "no");
  opened[0]?.become("failed");
  await pass(0);
  expect(states()).toEqual(["starting", "live", "again", "failed"]);
});
