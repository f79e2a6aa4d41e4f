/**
 * What the "Go live" page does: devices on and off, a session kept alive, tracks changed on the way. It lives outside of the page, so that whoever is
 * live may look at other pages meanwhile; there is one in a window.
 */
import { useEffect } from "preact/hooks";
import { api, client, ok, tokenFor } from "../../api/keystone";
import { Problem } from "../../api/problem";
import { capture, size, stopAll, type Wish } from "../../rtc/devices";
import { type Keeper, type Keeping, keep } from "../../rtc/keeper";
import { follow, type Rates } from "../../rtc/stats";
import { type Publishing, publish, QUALITIES, type Quality } from "../../rtc/whip";
import { setOnAir } from "../../ui/onair";
import { useStore } from "../../ui/store";

export type Phase = "off" | "opening" | "idle" | "starting" | "live" | "again";

export interface Shown {
  phase: Phase;
  /** What `media` answers, or will when it is turned on. */
  wish: Wish;
  media: MediaStream | undefined;
  rates: Rates | undefined;
  problem: unknown;
}

const WISH: Wish = { source: "camera", quality: QUALITIES[1] as Quality, camera: "", microphone: "" };
const OFF: Shown = { phase: "off", wish: WISH, media: undefined, rates: undefined, problem: undefined };
const ON_AIR: readonly Phase[] = ["starting", "live", "again"];

export class Publisher {
  shown: Shown = OFF;
  /** What is being turned on. */
  #wanted: Wish | undefined;
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

  /** Devices on, or others in their place; while live, without a break. What does not start changes nothing. */
  async open(change: Partial<Wish>): Promise<void> {
    const mine = ++this.#opening;
    // Two changes in one go: the second does not undo the first.
    this.#wanted = { ...(this.#wanted ?? this.shown.wish), ...change };
    const wish = this.#wanted;
    this.#show({ problem: undefined, ...(this.onAir ? {} : { phase: "opening" }) });
    try {
      const { media, wish: answered } = this.shown;
      const next = await capture(wish, media && { wish: answered, media });
      const before = this.shown.media;
      if (this.#opening !== mine) return stopAll(next, before);
      this.#wanted = undefined;
      staysOff(before, next);
      // Ended from outside: the browser's own "stop sharing", or a device pulled out.
      for (const track of next.getTracks()) track.addEventListener("ended", () => this.#lostSource(track));
      this.#show({ media: next, wish, ...(this.onAir ? {} : { phase: "idle" }) });
      await this.#session?.replace(next);
      stopAll(before, next);
    } catch (refused) {
      if (this.#opening !== mine) return;
      this.#wanted = undefined;
      this.#show({ problem: refused, ...(this.onAir ? {} : { phase: this.shown.media ? "idle" : "off" }) });
    }
  }

  /** For when it is turned on. */
  prefer(change: Partial<Wish>): void {
    this.#show({ wish: { ...this.shown.wish, ...change } });
  }

  /** What is on is made to fit; a device that cannot is sent as it is. */
  choose(quality: Quality): void {
    const wish = { ...this.shown.wish, quality };
    this.#show({ wish });
    for (const track of this.shown.media?.getVideoTracks() ?? [])
      void track.applyConstraints(size(wish)).catch(() => undefined);
  }

  start(takeover: boolean): void {
    const mine = ++this.#turn;
    const since = Date.now();
    let wasLive = false;
    const once = async () => {
      if (wasLive) await notEnded(this.stream, since);
      const source = this.shown.media;
      if (!source) throw new Problem(0, "no-source", "Turn on a camera or share a screen first.");
      const token = await tokenFor(this.stream, "publish");
      return publish(this.stream, source, this.shown.wish.quality, token, takeover && !wasLive);
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
    this.#wanted = undefined;
    stopAll(this.shown.media);
    this.#show({ media: undefined });
    this.stop(leaving);
  }

  #lostSource(track: MediaStreamTrack): void {
    if (!this.shown.media?.getTracks().includes(track)) return;
    const { onAir } = this;
    this.close();
    const why = "The camera, microphone or screen was ended outside of this page";
    this.#show({ problem: new Problem(0, "source-ended", onAir ? `${why}, and the broadcast with it.` : `${why}.`) });
  }

  #present(next: Publishing | undefined): void {
    if (this.#session === next) return;
    this.#session = next;
    this.#unfollow?.();
    this.#unfollow = next && follow(next.pc, "outbound-rtp", (rates) => this.#show({ rates }));
    // What is on may have changed while the session was begun.
    if (next && this.shown.media) void next.replace(this.shown.media);
  }

  #show(change: Partial<Shown>): void {
    this.shown = { ...this.shown, ...change };
    const { phase } = this.shown;
    if (present === this) setOnAir(this.onAir ? { stream: this.stream, phase, stop: () => this.close() } : undefined);
    for (const listener of this.#listeners) listener();
  }
}

/** A microphone that was muted, or a picture hidden, is so after another device took its place. */
function staysOff(before: MediaStream | undefined, next: MediaStream): void {
  for (const track of next.getTracks()) {
    const same = before?.getTracks().filter(({ kind }) => kind === track.kind) ?? [];
    if (same.length > 0 && same.every(({ enabled }) => !enabled)) track.enabled = false;
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
