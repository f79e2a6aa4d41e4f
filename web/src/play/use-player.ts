/** One player in a page: WHEP first; HLS when media does not get through, or when the viewer wants it. */
import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";
import { LIVE_BASE } from "../config";
import { type Player, play, type State } from "../rtc/player";
import type { Rates } from "../rtc/stats";

export type Way = "webrtc" | "hls";
export type Choice = "auto" | Way;

export interface Playing {
  state: State;
  rates: Rates | undefined;
  /** How it is played, or tried, now. */
  way: Way;
  /** WHEP was tried and nothing came through. */
  blocked: boolean;
  /** Media comes in. */
  flowing: boolean;
  /** It has played in this page before. */
  proven: boolean;
}

export interface Wanted {
  id: string;
  choice: Choice;
  /** Not before it is known who asks. */
  ready: boolean;
  /** Changes when the viewer asks again. */
  turn: unknown;
  token: (way: Way) => Promise<string | undefined>;
}

export function usePlayer(video: RefObject<HTMLVideoElement>, { id, choice, ready, turn, token }: Wanted): Playing {
  const [state, setState] = useState<State>({ state: "connecting" });
  const [rates, setRates] = useState<Rates>();
  const [blocked, setBlocked] = useState(false);
  const [proven, setProven] = useState(false);
  const way: Way = choice === "hls" || (choice === "auto" && blocked) ? "hls" : "webrtc";

  useEffect(() => setBlocked(false), [choice, turn]);
  useEffect(() => {
    const element = video.current;
    if (!ready || !element) return;
    const tell = (next: State) => {
      setState(next);
      if (next.state !== "playing") setRates(undefined);
      if (next.state === "blocked") setBlocked(true);
      if (next.state === "playing" && next.media) {
        element.srcObject = next.media;
        void element.play().catch(() => undefined);
      }
      if (next.state === "playing" && !next.media) void element.play().catch(() => undefined);
    };
    element.srcObject = null;
    const player: Player =
      way === "webrtc"
        ? play(id, () => token(way), tell, setRates)
        : // Loaded with the library, by the few who need it.
          later(() =>
            import("./hls").then(({ playHls }) =>
              playHls(element, `${LIVE_BASE}/${id}.m3u8`, () => token(way), tell, setRates),
            ),
          );
    const leave = () => player.stop(true);
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      leave();
      element.srcObject = null;
    };
  }, [id, ready, way, turn]);
  const flowing = state.state === "playing" && rates !== undefined && rates.frames + rates.audioPackets > 0;
  useEffect(() => {
    if (flowing) setProven(true);
  }, [flowing]);
  return { state, rates, way, blocked, flowing, proven };
}

/** A player whose script is still on its way. */
function later(load: () => Promise<Player>): Player {
  let stopped = false;
  let present: Player | undefined;
  void load().then((player) => {
    if (stopped) player.stop();
    present = player;
  });
  return {
    stop(leaving) {
      stopped = true;
      present?.stop(leaving);
    },
  };
}
