/**
 * Plays by HLS, where WebRTC does not get through. The library is loaded only then; where the browser plays HLS itself and knows no Media Source
 * Extensions (iPhone), it does. Same states as by WHEP (`rtc/player.ts`).
 */
import type Hls from "hls.js/light";
import { networkProblem, Problem, problemOf } from "../api/problem";
import { type Player, pause, type State } from "../rtc/player";
import { type Rates, type Reading, rates } from "../rtc/stats";

const NATIVE = "application/vnd.apple.mpegurl";
/** The library tries again by itself; what it reports as fatal is begun anew after this time, s. */
const AGAIN_S = 1;
/** A picture that stands still for longer is begun anew, ms: longer than a segment takes to come late. */
const STILL_MS = 12_000;

/** A playlist with its token; `undefined` for none. */
export function addressed(playlist: string, token: string | undefined): string {
  if (token === undefined) return playlist;
  const url = new URL(playlist, location.href);
  url.searchParams.set("token", token);
  return url.href;
}

export function playHls(
  video: HTMLVideoElement,
  playlist: string,
  token: () => Promise<string | undefined>,
  tell: (state: State) => void,
  stats: (rates: Rates) => void,
): Player {
  let stopped = false;
  let tries = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let end: (() => void) | undefined;
  const drop = (): void => {
    end?.();
    end = undefined;
  };
  const again = (seconds: number): void => {
    timer = setTimeout(() => void start(), seconds * 1000);
  };
  const lost = (): void => {
    if (stopped || end === undefined) return;
    drop();
    tell({ state: "connecting" });
    again(Math.min(15, AGAIN_S * 2 ** Math.min(tries++, 3)));
  };
  const failed = (thrown: unknown): void => {
    if (stopped) return;
    drop();
    const problem = asWhep(thrown instanceof Problem ? thrown : new Problem(0, "player", String(thrown)));
    const seconds = pause(problem, tries++);
    if (seconds === undefined) {
      tell({ state: "refused", problem });
    } else {
      tell({ state: "waiting", problem, seconds });
      again(seconds);
    }
  };
  const start = async (): Promise<void> => {
    tell({ state: "connecting" });
    try {
      const url = addressed(playlist, await token());
      await look(url);
      if (stopped) return;
      const feed = await attach(video, url, lost);
      if (stopped) return feed.destroy();
      let moved = performance.now();
      const unfollow = followVideo(video, feed, (now) => {
        if (now.fps > 0) {
          moved = now.at;
          tries = 0;
        }
        stats(now);
        // A picture that somebody paused stands still, too.
        if (now.at - moved > STILL_MS && !video.paused) lost();
      });
      end = () => {
        unfollow();
        feed.destroy();
      };
      tell({ state: "playing" });
    } catch (thrown) {
      failed(thrown);
    }
  };
  void start();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      drop();
    },
  };
}

/** A stream that is not live is 404 among files, where WHEP says 409: come back later. */
export function asWhep(problem: Problem): Problem {
  if (problem.code !== "stream-not-live" || problem.status !== 404) return problem;
  return new Problem(409, problem.code, problem.message, problem.retryAfter);
}

/** Asks for the playlist first: the library's own errors do not say why. By HEAD, because every GET of it is a viewer who comes. */
async function look(url: string): Promise<void> {
  const ask = (method: string): Promise<Response> =>
    fetch(url, { method, cache: "no-store" }).catch(() => {
      throw networkProblem();
    });
  if ((await ask("HEAD")).ok) return;
  // An answer to HEAD has no body to say why.
  const answer = await ask("GET");
  if (!answer.ok) throw await problemOf(answer);
}

interface Feed {
  hls: Hls | undefined;
  destroy(): void;
}

async function attach(video: HTMLVideoElement, url: string, lost: () => void): Promise<Feed> {
  const { default: Library } = await import("hls.js/light");
  if (!Library.isSupported()) {
    if (video.canPlayType(NATIVE) === "")
      throw new Problem(0, "bad-answer", "This browser plays neither WebRTC from here nor HLS. Use another browser.");
    video.addEventListener("error", lost, { once: true });
    video.src = url;
    return {
      hls: undefined,
      destroy() {
        video.removeEventListener("error", lost);
        video.removeAttribute("src");
        video.load();
      },
    };
  }
  const hls = new Library({
    enableWorker: false,
    liveSyncDurationCount: 2,
    lowLatencyMode: true,
    backBufferLength: 10,
  });
  // No repair in place, also of media errors: a stream whose sound begins some segments late (SRS does so for WebRTC publishers) breaks the
  // buffers the library has made, and it would load those segments again and again. A new start begins at the live end.
  hls.on(Library.Events.ERROR, (_, { fatal }) => fatal && lost());
  hls.loadSource(url);
  hls.attachMedia(video);
  return { hls, destroy: () => hls.destroy() };
}

/** Figures once a second, from the element and the library. */
function followVideo(video: HTMLVideoElement, { hls }: Feed, tell: (rates: Rates) => void): () => void {
  let before: Reading | undefined;
  let bytes = 0;
  hls?.on(
    "hlsFragLoaded" as never,
    ((_: unknown, { frag }: { frag: { stats: { total: number } } }) => {
      bytes += frag.stats.total;
    }) as never,
  );
  const timer = setInterval(() => {
    const now: Reading = {
      at: performance.now(),
      frames: video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0,
      audioPackets: 0,
      bytes,
      lost: 0,
      width: video.videoWidth,
      height: video.videoHeight,
    };
    const behind = hls && Number.isFinite(hls.latency) ? Math.round(hls.latency * 1000) : undefined;
    // Segments come in bursts: what the library has measured of the stream itself reads better than bytes a second.
    const level = hls?.levels[hls.currentLevel]?.bitrate;
    const told = rates(now, before);
    tell({
      ...told,
      ...(level ? { kbps: Math.round(level / 1000) } : {}),
      ...(behind === undefined || behind <= 0 ? {} : { latency: behind }),
    });
    before = now;
  }, 1000);
  return () => clearInterval(timer);
}
