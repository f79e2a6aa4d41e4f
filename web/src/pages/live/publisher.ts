/**
 * What the "Go live" page does: devices on and off, a session kept alive, tracks changed on the way. It lives outside of the page, so that whoever is
 * live may look at other pages meanwhile; there is one in a window.
 */
import { useEffect } from "preact/hooks";
import { api, client, ok, tokenFor } from "../../api/keystone";
import { Problem } from "../../api/problem";
import { capture, stopAll, type Wish } from "../../rtc/devices";
import { type Keeper, type Keeping, keep } from "../../rtc/keeper";
import { follow, type Rates } from "../../rtc/stats";
import { type Publishing, publish } from "../../rtc/whip";
import { setOnAir } from "../../ui/onair";
import { useStore } from "../../ui/store";

export type Phase = "off" | "opening" | "idle" | "starting" | "live" | "again";

export interface Shown {
  phase: Phase;
  media: MediaStream | undefined;
  rates: Rates | undefined;
  problem: unknown;
}

const OFF: Shown = { phase: "off", media: undefined, rates: undefined, problem: undefined };
const ON_AIR: readonly Phase[] = ["starting", "live", "again"];

export class Publisher {
  shown: Shown = OFF;
  /** The last one, for a page that is come back to. */
  wish: Wish | undefined;
  #listeners = new Set<() => void>();
  #keeper: Keeper | undefined;
  #session: Publishing | undefined;
  #unfollow: (() => void) | undefined;
  /** Count starts and openings, so that one which was given up does not go live behind the user's back. */
  #turn = 0;
  #opening = 0;

  constructor(readonly stream: string) {}

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  get onAir(): boolean {
    return ON_AIR.includes(this.shown.phase);
  }

  /** Devices on, or others in their place; while live, without a break. */
  async open(wish: Wish): Promise<void> {
    const mine = ++this.#opening;
    this.wish = wish;
    this.#show({ problem: undefined, ...(this.onAir ? {} : { phase: "opening" }) });
    try {
      const next = await capture(wish);
      if (this.#opening !== mine) return stopAll(next);
      // Ended from outside: the browser's own "stop sharing", or a device pulled out.
      for (const track of next.getTracks()) track.addEventListener("ended", () => this.#lostSource(next));
      await this.#session?.replace(next);
      this.#hold(next);
      if (!this.onAir) this.#show({ phase: "idle" });
    } catch (refused) {
      if (this.#opening !== mine) return;
      this.#show({ problem: refused, ...(this.onAir ? {} : { phase: this.shown.media ? "idle" : "off" }) });
    }
  }

  start(wish: Wish, takeover: boolean): void {
    const mine = ++this.#turn;
    this.wish = wish;
    const since = Date.now();
    let wasLive = false;
    const once = async () => {
      if (wasLive) await notEnded(this.stream, since);
      const source = this.shown.media;
      if (!source) throw new Problem(0, "no-source", "Turn on a camera or share a screen first.");
      const token = await tokenFor(this.stream, "publish");
      return publish(this.stream, source, wish.quality, token, takeover && !wasLive);
    };
    this.#show({ problem: undefined, rates: undefined });
    this.#keeper = keep(once, (now: Keeping<Publishing>) => {
      if (this.#turn !== mine) return;
      wasLive ||= now.state === "live";
      if (now.state === "failed") {
        this.stop();
        this.#show({ problem: now.problem });
      } else {
        this.#present(now.state === "live" ? now.publishing : undefined);
        this.#show({ phase: now.state });
      }
    });
  }

  /** Off air; the preview stays. */
  stop(leaving = false): void {
    this.#turn++;
    this.#keeper?.stop(leaving);
    this.#keeper = undefined;
    this.#present(undefined);
    this.#show({ rates: undefined, phase: this.shown.media ? "idle" : "off" });
  }

  /** Devices off, and off air. */
  close(leaving = false): void {
    this.#opening++;
    this.#hold(undefined);
    this.stop(leaving);
  }

  #lostSource(media: MediaStream): void {
    if (this.shown.media !== media) return;
    this.close();
    const why = "The camera, microphone or screen was ended outside of this page.";
    this.#show({ problem: new Problem(0, "source-ended", why) });
  }

  #hold(next: MediaStream | undefined): void {
    if (this.shown.media !== next) stopAll(this.shown.media);
    this.#show({ media: next });
  }

  #present(next: Publishing | undefined): void {
    if (this.#session === next) return;
    this.#session = next;
    this.#unfollow?.();
    this.#unfollow = next && follow(next.pc, "outbound-rtp", (rates) => this.#show({ rates }));
  }

  #show(change: Partial<Shown>): void {
    this.shown = { ...this.shown, ...change };
    const { phase } = this.shown;
    if (present === this) setOnAir(this.onAir ? { stream: this.stream, phase, stop: () => this.close() } : undefined);
    for (const listener of this.#listeners) listener();
  }
}

/** Somebody ended it on purpose: then it is not for this page to begin again. */
const ON_PURPOSE: readonly string[] = ["kicked", "revoked", "taken_over"];
/** Clocks of browsers differ from the server's, ms. */
const CLOCKS_MS = 60_000;

/** Throws if the last broadcast was ended on purpose. A server that cannot say is no reason to stay off air. */
async function notEnded(stream: string, since: number): Promise<void> {
  const params = { path: { stream }, query: { limit: 1 } };
  const page = await ok(api.GET("/v1/streams/{stream}/broadcasts", { params })).catch(() => undefined);
  const last = page?.items[0];
  if (!last?.ended_at || Date.parse(last.ended_at) < since - CLOCKS_MS || !ON_PURPOSE.includes(last.reason ?? ""))
    return;
  const taken = last.reason === "taken_over";
  const why = taken
    ? "Another publisher took the stream over."
    : "The broadcast was ended by its owner or an operator.";
  throw new Problem(403, "ended-on-purpose", why);
}

let present: Publisher | undefined;

/** This window's publisher, for a stream; one of another stream is ended. */
function publisherFor(stream: string): Publisher {
  if (present?.stream !== stream) {
    present?.close();
    present = new Publisher(stream);
  }
  return present;
}

addEventListener("pagehide", () => present?.close(true));
addEventListener("beforeunload", (event) => {
  // The browser asks whether to leave.
  if (present?.onAir) event.preventDefault();
});
client.subscribe(() => {
  if (client.who.phase === "out") present?.close();
});

/** The publisher of a stream and what it shows, while a page of its is open; after that, devices that nobody sees go off. */
export function usePublisher(stream: string): [Publisher, Shown] {
  const publisher = publisherFor(stream);
  const shown = useStore(publisher.subscribe, () => publisher.shown);
  useEffect(
    () => () => {
      if (!publisher.onAir) publisher.close();
    },
    [],
  );
  return [publisher, shown];
}
