/**
 * Keeps a stream published: when its media node is lost, publishes again by itself, wherever the cluster puts it then.
 * It never takes the stream from anybody: one that is published by somebody else by now is left to them.
 */
import { Problem } from "../api/problem";
import { pause } from "./player";

/** A connection that is `disconnected` for this long is given up; it may come back by itself before, ms. */
const BROKEN_MS = 1_500;
/** Tries in a row after a loss. They span well over the time that a lost node takes to be noticed and replaced. */
const TRIES_MAX = 8;

/** What one publishing needs to offer; {@link import("./whip").Publishing} does. */
export interface Kept {
  pc: Pick<RTCPeerConnection, "connectionState" | "addEventListener">;
  stop(leaving?: boolean): Promise<void>;
}

export type Keeping<P extends Kept> =
  | { state: "starting" }
  | { state: "live"; publishing: P }
  /** The connection was lost; it is tried again in `seconds`. */
  | { state: "again"; problem: Problem; seconds: number }
  /** Over, and not by the user. */
  | { state: "failed"; problem: unknown };

export interface Keeper {
  stop(leaving?: boolean): void;
}

const LOST = new Problem(
  0,
  "media-lost",
  "The media connection was lost or never came up. A firewall may block WebRTC. Go live again to retry.",
);

/** `publish` is asked once at first, and again after every loss. */
export function keep<P extends Kept>(publish: () => Promise<P>, tell: (now: Keeping<P>) => void): Keeper {
  let stopped = false;
  let present: P | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** It was live once, so that a loss is worth a new try. */
  let proven = false;
  let tries = 0;

  const end = (problem: unknown): void => {
    stopped = true;
    void present?.stop();
    present = undefined;
    tell({ state: "failed", problem });
  };
  const again = (problem: Problem, seconds: number): void => {
    tell({ state: "again", problem, seconds });
    timer = setTimeout(() => void start(), seconds * 1000);
  };
  const lost = (from: P): void => {
    if (stopped || present !== from) return;
    present = undefined;
    void from.stop();
    if (proven && tries < TRIES_MAX) again(LOST, Math.min(4, tries++));
    else end(LOST);
  };
  const start = async (): Promise<void> => {
    if (!proven) tell({ state: "starting" });
    try {
      const opened = await publish();
      if (stopped) return void opened.stop();
      present = opened;
      heed(opened);
    } catch (refused) {
      if (stopped) return;
      const seconds = refused instanceof Problem ? pause(refused, tries) : undefined;
      if (!proven || seconds === undefined || ++tries >= TRIES_MAX) return end(refused);
      again(refused as Problem, seconds);
    }
  };
  const heed = (opened: P): void => {
    let broken: ReturnType<typeof setTimeout> | undefined;
    const look = (): void => {
      clearTimeout(broken);
      if (stopped || present !== opened) return;
      const state = opened.pc.connectionState;
      if (state === "connected") {
        proven = true;
        tries = 0;
        tell({ state: "live", publishing: opened });
      }
      if (state === "disconnected") broken = setTimeout(() => lost(opened), BROKEN_MS);
      if (state === "failed" || state === "closed") lost(opened);
    };
    opened.pc.addEventListener("connectionstatechange", look);
    look();
  };
  void start();
  return {
    stop(leaving = false) {
      stopped = true;
      clearTimeout(timer);
      void present?.stop(leaving);
      present = undefined;
    },
  };
}
