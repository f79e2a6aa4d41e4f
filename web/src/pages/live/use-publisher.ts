/** What the "Go live" page does: devices on and off, a session kept alive, tracks changed on the way. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ok, tokenFor } from "../../api/keystone";
import { Problem } from "../../api/problem";
import { capture, stopAll, type Wish } from "../../rtc/devices";
import { type Keeper, keep } from "../../rtc/keeper";
import { follow, type Rates } from "../../rtc/stats";
import { type Publishing, publish } from "../../rtc/whip";

export type Phase = "off" | "opening" | "idle" | "starting" | "live" | "again";

export interface Publisher {
  phase: Phase;
  media: MediaStream | undefined;
  rates: Rates | undefined;
  problem: unknown;
  /** Devices on, or others in their place; while live, without a break. */
  open(wish: Wish): Promise<void>;
  start(wish: Wish, takeover: boolean): void;
  /** Off air; the preview stays. */
  stop(): void;
  /** Devices off. */
  close(): void;
}

export function usePublisher(id: string): Publisher {
  const [phase, setPhase] = useState<Phase>("off");
  const [problem, setProblem] = useState<unknown>();
  const [rates, setRates] = useState<Rates>();
  const [media, setMedia] = useState<MediaStream>();
  const [publishing, setPublishing] = useState<Publishing>();
  const held = useRef<MediaStream | undefined>(undefined);
  const keeper = useRef<Keeper | undefined>(undefined);
  const session = useRef<Publishing | undefined>(undefined);
  /** Counts starts, so that one which was given up does not go live behind the user's back. */
  const turn = useRef(0);
  const opening = useRef(0);

  const hold = (next: MediaStream | undefined) => {
    if (held.current !== next) stopAll(held.current);
    held.current = next;
    setMedia(next);
  };
  const present = (next: Publishing | undefined) => {
    session.current = next;
    setPublishing(next);
  };
  const stop = (leaving = false) => {
    turn.current++;
    keeper.current?.stop(leaving);
    keeper.current = undefined;
    present(undefined);
    setRates(undefined);
    setPhase(held.current ? "idle" : "off");
  };
  const close = (leaving = false) => {
    hold(undefined);
    stop(leaving);
  };
  const open = async (wish: Wish) => {
    const mine = ++opening.current;
    const live = keeper.current !== undefined;
    setProblem(undefined);
    if (!live) setPhase("opening");
    try {
      const next = await capture(wish);
      if (opening.current !== mine) return stopAll(next);
      // Ended from outside: the browser's own "stop sharing", or a device pulled out.
      for (const track of next.getTracks())
        track.addEventListener("ended", () => {
          if (held.current !== next) return;
          close();
          setProblem(
            new Problem(0, "source-ended", "The camera, microphone or screen was ended outside of this page."),
          );
        });
      await session.current?.replace(next);
      hold(next);
      if (!live) setPhase("idle");
    } catch (refused) {
      if (opening.current !== mine) return;
      setProblem(refused);
      if (!live) setPhase(held.current ? "idle" : "off");
    }
  };
  const start = (wish: Wish, takeover: boolean) => {
    const mine = ++turn.current;
    setProblem(undefined);
    setRates(undefined);
    let wasLive = false;
    const since = Date.now();
    const once = async () => {
      if (wasLive) await notEnded(id, since);
      const source = held.current;
      if (!source) throw new Problem(0, "no-source", "Turn on a camera or share a screen first.");
      return publish(id, source, wish.quality, await tokenFor(id, "publish"), takeover && !wasLive);
    };
    keeper.current = keep(once, (now) => {
      if (turn.current !== mine) return;
      wasLive ||= now.state === "live";
      if (now.state === "failed") {
        stop();
        return setProblem(now.problem);
      }
      present(now.state === "live" ? now.publishing : undefined);
      setPhase(now.state);
    });
  };
  useEffect(() => {
    const leave = () => close(true);
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      opening.current++;
      leave();
    };
  }, []);
  useEffect(() => (publishing ? follow(publishing.pc, "outbound-rtp", setRates) : undefined), [publishing]);
  return { phase, media, rates, problem, open, start, stop: () => stop(), close: () => close() };
}

/** Somebody ended it on purpose: then it is not for this page to begin again. */
const ON_PURPOSE: readonly string[] = ["kicked", "revoked", "taken_over"];
/** Clocks of browsers differ from the server's, ms. */
const CLOCKS_MS = 60_000;

/** Throws if the last broadcast was ended on purpose. A server that cannot say is no reason to stay off air. */
async function notEnded(stream: string, since: number): Promise<void> {
  const params = { path: { stream }, query: { limit: 1 } };
  const last = (await ok(api.GET("/v1/streams/{stream}/broadcasts", { params })).catch(() => undefined))?.items[0];
  if (!last?.ended_at || Date.parse(last.ended_at) < since - CLOCKS_MS || !ON_PURPOSE.includes(last.reason ?? ""))
    return;
  const why =
    last.reason === "taken_over"
      ? "Another publisher took the stream over."
      : "The broadcast was ended by its owner or an operator.";
  throw new Problem(403, "ended-on-purpose", why);
}
