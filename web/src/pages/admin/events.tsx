/** What happens in the cluster, as it happens. */
import type { JSX } from "preact";
import { type News, useHearing, useNews } from "../../api/news";
import { Note } from "../../ui/notice";
import { Empty, State } from "../../ui/parts";
import { clock } from "../../ui/time";
import { protocolName } from "../../ui/words";
import type { Tone } from "./shares";

const NAMES: Record<string, { word: string; tone: Tone }> = {
  stream_live: { word: "Stream live", tone: "good" },
  stream_ended: { word: "Stream ended", tone: "plain" },
  session_opened: { word: "Session opened", tone: "plain" },
  session_closed: { word: "Session closed", tone: "plain" },
  stream_changed: { word: "Stream changed", tone: "plain" },
  node_up: { word: "Node up", tone: "good" },
  node_down: { word: "Node down", tone: "bad" },
};

export function Events(): JSX.Element {
  const news = useNews();
  const hearing = useHearing();
  return (
    <div class="stack">
      {!hearing && (
        <Note tone="warn">
          Not listening right now; this page connects again by itself. What happens meanwhile is not listed.
        </Note>
      )}
      {news.length === 0 ? (
        <Empty icon="live" title="Quiet so far">
          <p>
            Streams going live and off air, people coming and leaving, nodes up and down: all of it appears here as it
            happens.
          </p>
        </Empty>
      ) : (
        <ol class="panel plain events" aria-live="off">
          {news.map((piece) => (
            <li key={piece.number} class="line wrap">
              <time class="soft">{clock(piece.at)}</time>
              <State
                is={NAMES[piece.name]?.word ?? piece.name.replaceAll("_", " ")}
                tone={NAMES[piece.name]?.tone ?? "plain"}
              />
              <span class="grow">
                <What piece={piece} />
              </span>
            </li>
          ))}
        </ol>
      )}
    </div>
  );
}

function What({ piece: { stream, node, says } }: { piece: News }): JSX.Element {
  return (
    <>
      {stream && <a href={`/admin/streams/${stream}`}>{stream}</a>}
      {stream && node && " on "}
      {node && <a href={`/admin/nodes/${node}`}>{node}</a>}
      {says && <span class="soft"> {says.split(" · ").map(protocolName).join(" · ")}</span>}
    </>
  );
}
