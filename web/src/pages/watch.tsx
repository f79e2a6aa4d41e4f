/** `/watch/{stream}`: the player and what is known of its stream. A token for a private stream comes behind `#token=`, where no server logs it. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { useWho } from "../api/keystone";
import { queries, stream as streamQuery } from "../api/queries";
import type { Stream } from "../api/types";
import { credential } from "../play/credential";
import { givenToken } from "../play/given";
import { Stage } from "../play/stage";
import { type Choice, type Playing, usePlayer } from "../play/use-player";
import { useTitle } from "../router";
import { Copy } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { Note } from "../ui/notice";
import { Figure, Lamp, Since, VisibilityTag } from "../ui/parts";
import { bitrate, count, delay } from "../ui/time";

export function Watch({ id }: { id: string }): JSX.Element {
  const who = useWho();
  const me = who.phase === "in" ? who.user.id : undefined;
  // What cannot be seen may still be watched with a token, so a refusal here stops nothing.
  const { data: stream } = useQuery(streamQuery(id, me ?? ""));
  const video = useRef<HTMLVideoElement>(null);
  const [choice, setChoice] = useState<Choice>("auto");
  const [turn, setTurn] = useState(0);
  const [sharing, setSharing] = useState(false);
  const playing = usePlayer(video, {
    id,
    choice,
    ready: who.phase !== "starting",
    turn: `${turn} ${me}`,
    token: (way) => credential(id, me, way, () => queries.fetchQuery(streamQuery(id, me ?? ""))),
  });
  const unknown = isRefused(playing, 404) ? "No such stream" : "Private stream";
  const title = stream?.title ?? (playing.state.state === "connecting" ? "Stream" : unknown);
  useTitle(title);
  const refused = playing.way === "webrtc" && isRefused(playing, 401, 403, 404);
  const wayOut = isRefused(playing, 404) ? (
    <a class="button primary" href="/">
      See what is live
    </a>
  ) : (
    who.phase === "out" &&
    isRefused(playing, 401, 403) && (
      <a class="button primary" href={`/signin#/watch/${id}`}>
        Sign in
      </a>
    )
  );
  return (
    <article class="watch">
      <Stage
        video={video}
        playing={playing}
        onRefused={wayOut}
        again={() => setTurn(turn + 1)}
        byHls={() => setChoice("hls")}
      />
      {playing.way === "hls" && choice === "auto" && (
        <Note tone="warn">
          <p>
            <strong>Playing by HLS.</strong> This network lets no WebRTC through, so the picture comes some seconds
            later.
          </p>
          <button type="button" class="small" onClick={() => setTurn(turn + 1)}>
            Try low latency again
          </button>
        </Note>
      )}
      <header class="watch-head">
        <div>
          <h1>{title}</h1>
          {(stream || !refused) && <About stream={stream} live={playing.flowing} />}
        </div>
        {!refused && (
          <div class="actions">
            <WayChoice choice={choice} onChoose={setChoice} />
            <button type="button" onClick={() => setSharing(true)}>
              <Icon name="share" /> Share
            </button>
          </div>
        )}
      </header>
      {(playing.flowing || stream?.live) && <Figures playing={playing} stream={stream} />}
      {sharing && <Share id={id} stream={stream} onClose={() => setSharing(false)} />}
    </article>
  );
}

function isRefused({ state }: Playing, ...statuses: number[]): boolean {
  return state.state === "refused" && statuses.includes(state.problem.status);
}

function About({ stream, live }: { stream: Stream | undefined; live: boolean }): JSX.Element {
  return (
    <p class="meta">
      <Lamp on={live || Boolean(stream?.live)} />
      {stream && <span>{stream.owner_name}</span>}
      {stream && stream.visibility !== "public" && <VisibilityTag of={stream.visibility} />}
      {stream?.live && (
        <span class="soft">
          started <Since of={stream.live} />
        </span>
      )}
    </p>
  );
}

function WayChoice({ choice, onChoose }: { choice: Choice; onChoose: (choice: Choice) => void }): JSX.Element {
  return (
    <label class="inline">
      <span class="sr">Play by</span>
      <select value={choice} onChange={({ currentTarget }) => onChoose(currentTarget.value as Choice)}>
        <option value="auto">Automatic</option>
        <option value="webrtc">Low latency (WebRTC)</option>
        <option value="hls">HLS, some seconds later</option>
      </select>
    </label>
  );
}

function Figures({ playing, stream }: { playing: Playing; stream: Stream | undefined }): JSX.Element {
  const { rates, flowing, way } = playing;
  const shown = flowing ? rates : undefined;
  return (
    <>
      <dl class="figures">
        <Figure id="viewers" label="Watching" value={stream?.live ? count(stream.live.viewers, "viewer") : "–"} />
        <Figure id="latency" label="Delay" value={shown?.latency === undefined ? "–" : delay(shown.latency)} />
        <Figure id="kbps" label="Bitrate" value={shown && shown.kbps > 0 ? bitrate(shown.kbps) : "–"} />
        <Figure id="size" label="Picture" value={shown && shown.width > 0 ? `${shown.width} × ${shown.height}` : "–"} />
        <Figure id="way" label="Played by" value={way === "hls" ? "HLS" : "WebRTC"} />
      </dl>
      <details class="technical">
        <summary>Technical details</summary>
        <dl class="figures">
          <Figure id="frames" label="Frames decoded" value={shown?.frames ?? 0} />
          <Figure id="fps" label="Frames a second" value={shown?.fps ?? 0} />
          <Figure id="audio" label="Audio packets" value={shown?.audioPackets ?? 0} />
          <Figure id="lost" label="Packets lost" value={shown?.lost ?? 0} />
          <Figure id="rtt" label="Round trip" value={shown?.rtt === undefined ? "–" : delay(shown.rtt)} />
        </dl>
        <p class="soft">
          The delay is what this browser can measure: its buffer and half the round trip to the media node.
        </p>
      </details>
    </>
  );
}

function Share({ id, stream, onClose }: { id: string; stream: Stream | undefined; onClose: () => void }): JSX.Element {
  const token = givenToken();
  const behind = token === undefined ? "" : `#token=${token}`;
  const frame = `<iframe src="${location.origin}/embed/${id}${behind}" width="640" height="360" allow="autoplay; fullscreen" style="border:0" title="Live stream"></iframe>`;
  return (
    <Dialog title="Share" onClose={onClose}>
      <div class="stack">
        {stream?.visibility === "private" && token === undefined && (
          <Note tone="warn">
            <p>
              This stream is private: the link alone lets nobody in. <a href={`/streams/${id}`}>Make a share link</a>{" "}
              instead.
            </p>
          </Note>
        )}
        <Copy label="Link" value={`${location.origin}/watch/${id}${behind}`} />
        <Copy label="Embed code" value={frame} block />
      </div>
      <div class="actions end">
        <button type="button" class="primary" onClick={onClose}>
          Done
        </button>
      </div>
    </Dialog>
  );
}
