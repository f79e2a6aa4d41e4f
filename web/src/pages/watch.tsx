/** `/watch/{stream}`: plays by WHEP. A token for a private stream comes behind `#token=`, where no server logs it. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { stream as load, tokenFor, useWho } from "../api/keystone";
import { Problem } from "../api/problem";
import type { Stream } from "../api/types";
import { type Player, play, type State } from "../rtc/player";
import type { Rates } from "../rtc/stats";
import { Figures } from "../ui/figures";
import { useLoad } from "../ui/load";
import { words } from "../ui/notice";

const AGAIN_MS = 10_000;

export function Watch({ id }: { id: string }): JSX.Element {
  const who = useWho();
  // What cannot be seen may still be watched with a token, so a refusal here stops nothing.
  const { value: stream } = useLoad(() => load(id), `${id} ${who.phase}`, AGAIN_MS);
  const [state, setState] = useState<State>({ state: "connecting" });
  const [rates, setRates] = useState<Rates>();
  const [muted, setMuted] = useState(true);
  const video = useRef<HTMLVideoElement>(null);
  const [turn, setTurn] = useState(0);

  // `turn` is the user asking again.
  useEffect(() => {
    if (who.phase === "starting") return;
    const me = who.phase === "in" ? who.user.id : undefined;
    const player: Player = play(id, () => credential(id, me), setState, setRates);
    const leave = () => player.stop(true);
    addEventListener("pagehide", leave);
    return () => {
      removeEventListener("pagehide", leave);
      leave();
    };
  }, [id, who.phase, turn]);
  const media = state.state === "playing" ? state.media : null;
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    element.srcObject = media;
    if (media) void element.play().catch(() => undefined);
  }, [media]);

  const flowing = state.state === "playing" && (rates?.frames ?? 0) + (rates?.audioPackets ?? 0) > 0;
  return (
    <section class="watch">
      <div class="stage" data-state={state.state}>
        <video ref={video} autoplay muted={muted} playsInline />
        {!flowing && <Curtain state={state} signedIn={who.phase === "in"} again={() => setTurn(turn + 1)} id={id} />}
        {flowing && (
          <button type="button" class="sound" onClick={() => setMuted(!muted)} aria-pressed={!muted}>
            {muted ? "Sound on" : "Sound off"}
          </button>
        )}
      </div>
      <h1>{stream?.title ?? id}</h1>
      {stream && <About stream={stream} flowing={flowing} />}
      {flowing && <Figures rates={rates} verb="decoded" />}
    </section>
  );
}

function About({ stream, flowing }: { stream: Stream; flowing: boolean }): JSX.Element {
  return (
    <p class="meta">
      <span class={`lamp ${stream.live || flowing ? "live" : ""}`}>{stream.live || flowing ? "Live" : "Off air"}</span>
      {stream.owner_name}
      {stream.live && ` · ${stream.live.viewers} watching`}
    </p>
  );
}

/** What stands in the picture's place while there is none. */
function Curtain({
  state,
  signedIn,
  again,
  id,
}: {
  state: State;
  signedIn: boolean;
  again: () => void;
  id: string;
}): JSX.Element {
  if (state.state === "waiting") {
    const offAir = state.problem.status === 409;
    return (
      <div class="curtain" role="status" data-code={state.problem.code}>
        <p class="big">{offAir ? "Not live yet" : words(state.problem)}</p>
        <p>
          {offAir ? "It starts here by itself as soon as it is." : `Trying again in ${Math.ceil(state.seconds)} s.`}
        </p>
      </div>
    );
  }
  if (state.state === "refused") {
    const { status, code } = state.problem;
    const closed = status === 401 || status === 403;
    return (
      <div class="curtain" role="alert" data-code={code}>
        <p class="big">{closed ? "This stream is private" : words(state.problem)}</p>
        {closed && <p>Ask its owner for a link with a token{signedIn ? "." : ", or sign in if it is yours."}</p>}
        {status === 404 && <p>Check the link. The stream may have been deleted.</p>}
        <div class="actions">
          {closed && !signedIn && (
            <a class="button" href={`/signin#/watch/${id}`}>
              Sign in
            </a>
          )}
          <button type="button" onClick={again}>
            Try again
          </button>
        </div>
      </div>
    );
  }
  return (
    <div class="curtain" role="status">
      <p>Connecting…</p>
    </div>
  );
}

/** The link's token; else one of the user's own for a private stream; else none, which is enough for the others. */
async function credential(id: string, me: string | undefined): Promise<string | undefined> {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given !== null || me === undefined) return given ?? undefined;
  try {
    const stream = await load(id);
    if (stream.visibility !== "private" || stream.owner !== me) return undefined;
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return undefined;
    throw problem;
  }
  return tokenFor(id, "play");
}
