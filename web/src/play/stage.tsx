/** The picture with what lies over it: sound, full screen, and what stands in its place while there is none. */
import type { ComponentChildren, JSX, RefObject } from "preact";
import { useState } from "preact/hooks";
import { Icon } from "../ui/icons";
import { adviceFor, words } from "../ui/notice";
import type { Playing } from "./use-player";

interface Props {
  video: RefObject<HTMLVideoElement>;
  playing: Playing;
  /** Ways out of a refusal that only the page around this knows. */
  onRefused?: ComponentChildren;
  again: () => void;
  byHls: () => void;
  children?: ComponentChildren;
}

export function Stage({ video, playing, onRefused, again, byHls, children }: Props): JSX.Element {
  const [muted, setMuted] = useState(true);
  const whole = async (event: Event) => {
    const stage = (event.currentTarget as HTMLElement).closest(".stage");
    if (document.fullscreenElement) await document.exitFullscreen();
    else await stage?.requestFullscreen?.().catch(() => undefined);
  };
  return (
    <div class="stage" data-state={playing.state.state} data-way={playing.way} data-flowing={playing.flowing}>
      <video ref={video} autoplay muted={muted} playsInline />
      {!playing.flowing && <Curtain playing={playing} onRefused={onRefused} again={again} byHls={byHls} />}
      {playing.flowing && (
        <div class="controls">
          <button type="button" class="over" onClick={() => setMuted(!muted)} aria-pressed={!muted}>
            <Icon name={muted ? "mute" : "sound"} /> {muted ? "Sound on" : "Sound off"}
          </button>
          <span class="spring" />
          {children}
          <button type="button" class="over" onClick={(event) => void whole(event)} aria-label="Full screen">
            <Icon name="full" />
          </button>
        </div>
      )}
    </div>
  );
}

function Curtain({
  playing,
  onRefused,
  again,
  byHls,
}: Pick<Props, "playing" | "onRefused" | "again" | "byHls">): JSX.Element {
  const { state, way, proven, blocked } = playing;
  if (state.state === "waiting") {
    const offAir = state.problem.status === 409;
    return (
      <div class="curtain" role="status" data-code={state.problem.code}>
        {offAir ? <span class="pulse" /> : <span class="spinner" />}
        <p class="big">{offAir ? (proven ? "The stream has ended" : "Not live yet") : words(state.problem)}</p>
        <p>
          {offAir
            ? "It starts here by itself as soon as it is live."
            : `Trying again in ${Math.ceil(state.seconds)} s.`}
        </p>
      </div>
    );
  }
  if (state.state === "blocked") {
    return (
      <div class="curtain" role="alert" data-code="media-blocked">
        <p class="big">No picture comes through</p>
        <p>
          The server answers, but this network probably lets no WebRTC through. HLS goes through nearly everywhere, some
          seconds later.
        </p>
        <div class="actions">
          <button type="button" class="primary" onClick={byHls}>
            Play by HLS
          </button>
          <button type="button" class="over" onClick={again}>
            Try again
          </button>
        </div>
      </div>
    );
  }
  if (state.state === "refused") {
    const { status, code } = state.problem;
    const closed = status === 401 || status === 403;
    const title = closed
      ? "This stream is private"
      : status === 404 && way === "webrtc"
        ? "No such stream"
        : words(state.problem);
    return (
      <div class="curtain" role="alert" data-code={code}>
        <p class="big">{title}</p>
        <p>{closed ? "Ask its owner for a share link, or sign in if it is yours." : adviceFor(state.problem)}</p>
        <div class="actions">
          {onRefused}
          <button type="button" class="over" onClick={again}>
            Try again
          </button>
        </div>
      </div>
    );
  }
  return (
    <div class="curtain" role="status">
      <span class="spinner" />
      <p>{proven ? "Reconnecting…" : blocked ? "Trying HLS…" : "Connecting…"}</p>
    </div>
  );
}
