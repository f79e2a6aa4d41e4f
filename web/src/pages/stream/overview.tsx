/** What is going on with a stream now: whether it is on, how it does, and how people get to it. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { history } from "../../api/queries";
import type { Stream } from "../../api/types";
import { History } from "../../ui/charts";
import { Copy } from "../../ui/copy";
import { Icon } from "../../ui/icons";
import { Refusal } from "../../ui/notice";
import { Figure, Ticking, Waiting, watchPath } from "../../ui/parts";
import { between, bitrate, span } from "../../ui/time";
import { protocolName } from "../../ui/words";
import { NewKey } from "./key";
import { ShareLinks } from "./share";

/** Without a broadcast there is nothing to draw; of a long one the last hours. */
const DRAWN_MS = 3 * 3600 * 1000;

export function Overview({ stream }: { stream: Stream }): JSX.Element {
  return (
    <div class="stack">
      <NewKey stream={stream} />
      {stream.live ? <OnAir stream={stream} live={stream.live} /> : <Start stream={stream} />}
      <div class="panel">
        <h2>Share</h2>
        {stream.visibility === "private" ? (
          <ShareLinks stream={stream} />
        ) : (
          <Copy label="Page to watch" value={`${location.origin}${watchPath(stream)}`} />
        )}
      </div>
    </div>
  );
}

function OnAir({ stream, live }: { stream: Stream; live: NonNullable<Stream["live"]> }): JSX.Element {
  const from = useMemo(
    () => new Date(Math.max(Date.parse(live.since), Date.now() - DRAWN_MS)).toISOString(),
    [live.since],
  );
  const { data, error } = useQuery(history(stream.id, from));
  const last = data?.items.at(-1);
  return (
    <div class="panel">
      <h2>On air</h2>
      <dl class="figures">
        <Figure label="Viewers" id="viewers" value={live.viewers} />
        <Figure label="On air for" value={<Ticking text={() => span(between(live.since, undefined))} />} />
        <Figure label="Arrives" value={measured(last?.kbps_in)} />
        <Figure label="Goes out" value={measured(last?.kbps_out)} />
        <Figure label="Published by" value={protocolName(live.protocol)} />
        <Figure label="On node" value={live.node} />
      </dl>
      <Refusal problem={data === undefined ? error : undefined} />
      {data === undefined && error === null && <Waiting rows={2} what="Loading the figures" />}
      {data && <History samples={data.items} />}
    </div>
  );
}

/** Nodes say what they carry after some seconds: until then there is no figure, rather than a broadcast of nothing. */
function measured(kbps: number | undefined): string {
  return kbps ? bitrate(kbps) : "–";
}

function Start({ stream }: { stream: Stream }): JSX.Element {
  return (
    <div class="ways">
      <a class="way" href={`/streams/${stream.id}/live`}>
        <Icon name="camera" />
        <strong>Go live from this browser</strong>
        <span class="soft">Camera, microphone or screen. Nothing to install.</span>
      </a>
      <a class="way" href={`/streams/${stream.id}/encoder`}>
        <Icon name="screen" />
        <strong>Use an encoder</strong>
        <span class="soft">OBS, ffmpeg, GStreamer or a phone, with settings ready to copy.</span>
      </a>
    </div>
  );
}
