/**
 * Keeps a stream playing: starts sessions, waits while nobody publishes, and starts again when media stops coming.
 * It shows nothing itself; the page hears of every change.
 */
import { Problem } from "../api/problem";
import { follow, type Rates } from "./stats";
import { type Watching, watch } from "./whep";

/** Without a new frame or audio packet for this long, the session is given up: a lost media node says nothing when it goes. */
const SILENT_MS = 3_000;
/** A session that was answered but over which nothing came within this time is cut off by something in between, ms. */
const CONNECT_MS = 7_000;
/** So many of them in a row before a player that once played gives up: its node may have gone just after answering. */
const UNCONNECTED_MAX = 3;
/** Longest pause between two tries, s. */
const LONGEST_PAUSE = 15;

export type State =
  | { state: "connecting" }
  | { state: "playing"; media?: MediaStream }
  /** Not live, or the server asked for patience; tries again by itself in `seconds`. */
  | { state: "waiting"; problem: Problem; seconds: number }
  /** Trying again would not help. */
  | { state: "refused"; problem: Problem }
  /** The server answers but its media does not come through, as where a firewall lets none out. Over; another way may work. */
  | { state: "blocked"; problem: Problem };

const BLOCKED = new Problem(
  0,
  "media-blocked",
  "The server answers, but no picture comes through. This network probably lets no WebRTC through.",
);

export interface Player {
  stop(leaving?: boolean): void;
}

/** Whether asking again can help, and after how many seconds. `tries` counts failures in a row. */
export function pause(problem: Problem, tries: number): number | undefined {
  if (problem.status === 409) return problem.retryAfter ?? 2;
  const passing = problem.status === 0 || problem.status === 429 || problem.status >= 500;
  if (!passing || problem.code === "bad-answer") return undefined;
  return problem.retryAfter ?? Math.min(LONGEST_PAUSE, 2 ** Math.min(tries, 4));
}

/** `token` is asked anew for every session, because a token may be good for one only. */
export function play(
  id: string,
  token: () => Promise<string | undefined>,
  tell: (state: State) => void,
  stats: (rates: Rates) => void,
): Player {
  let stopped = false;
  let tries = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let session: Watching | undefined;
  let unfollow: (() => void) | undefined;
  /** It was connected once, so media gets through in principle. */
  let proven = false;
  let unconnected = 0;

  const drop = (leaving = false): void => {
    unfollow?.();
    unfollow = undefined;
    void session?.stop(leaving);
    session = undefined;
  };
  const again = (seconds: number): void => {
    timer = setTimeout(() => void start(), seconds * 1000);
  };
  const start = async (): Promise<void> => {
    tell({ state: "connecting" });
    try {
      const opened = await watch(id, await token());
      if (stopped) return void opened.stop();
      session = opened;
      heed(opened);
      tell({ state: "playing", media: opened.media });
    } catch (thrown) {
      if (stopped) return;
      const problem = thrown instanceof Problem ? thrown : new Problem(0, "player", String(thrown));
      const seconds = pause(problem, tries++);
      if (seconds === undefined) return tell({ state: "refused", problem });
      tell({ state: "waiting", problem, seconds });
      again(seconds);
    }
  };
  const heed = ({ pc }: Watching): void => {
    let moved = performance.now();
    let sum = 0;
    let connected = false;
    const lost = (): void => {
      if (stopped || session?.pc !== pc) return;
      clearTimeout(overdue);
      drop();
      if (!connected && ++unconnected >= (proven ? UNCONNECTED_MAX : 1)) {
        stopped = true;
        tell({ state: "blocked", problem: BLOCKED });
        return;
      }
      tell({ state: "connecting" });
      again(Math.min(LONGEST_PAUSE, 2 * tries++));
    };
    const overdue = setTimeout(() => connected || lost(), CONNECT_MS);
    pc.addEventListener("connectionstatechange", () => {
      if (pc.connectionState === "connected") {
        connected = true;
        proven = true;
        unconnected = 0;
        moved = performance.now();
      }
      if (pc.connectionState === "failed" || pc.connectionState === "closed") lost();
    });
    unfollow = follow(pc, "inbound-rtp", (rates) => {
      const total = rates.frames + rates.audioPackets;
      if (total !== sum) {
        moved = rates.at;
        tries = 0;
      }
      sum = total;
      stats(rates);
      if (connected && rates.at - moved > SILENT_MS) lost();
    });
  };
  void start();
  return {
    stop(leaving = false) {
      stopped = true;
      clearTimeout(timer);
      drop(leaving);
    },
  };
}
