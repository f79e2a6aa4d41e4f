/** Past broadcasts, and how each of them did. */
import { useInfiniteQuery, useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { broadcasts, history } from "../../api/queries";
import type { Broadcast, Stream } from "../../api/types";
import { History } from "../../ui/charts";
import { Refusal } from "../../ui/notice";
import { Empty, More, State, Waiting } from "../../ui/parts";
import { between, day, span } from "../../ui/time";
import { protocolName, reasonName } from "../../ui/words";

export function Broadcasts({ stream }: { stream: Stream }): JSX.Element {
  const query = useInfiniteQuery(broadcasts(stream.id));
  const all = query.data?.pages.flatMap((page) => page.items) ?? [];
  if (query.data === undefined)
    return query.error ? (
      <Refusal problem={query.error} again={() => void query.refetch()} />
    ) : (
      <Waiting what="Loading broadcasts" />
    );
  if (all.length === 0) {
    return (
      <Empty icon="live" title="No broadcast yet">
        <p>Each time this stream was live is listed here: how long, how many watched, and why it ended.</p>
        <a class="button primary" href={`/streams/${stream.id}/live`}>
          Go live
        </a>
      </Empty>
    );
  }
  return (
    <>
      <ul class="rows broadcasts">
        {all.map((broadcast) => (
          <li key={broadcast.id}>
            <One broadcast={broadcast} />
          </li>
        ))}
      </ul>
      <More query={query} />
    </>
  );
}

function One({ broadcast }: { broadcast: Broadcast }): JSX.Element {
  const [open, setOpen] = useState(false);
  const { started_at, ended_at, reason, protocol, node, peak_viewers } = broadcast;
  return (
    <details
      class="panel broadcast"
      onToggle={({ currentTarget }) => setOpen((currentTarget as HTMLDetailsElement).open)}
    >
      <summary>
        <span class="when">
          <strong>{day(started_at)}</strong>
          <span class="soft">
            {span(between(started_at, ended_at))} · {protocolName(protocol)} · {node}
          </span>
        </span>
        <span class="peak">
          <strong>{peak_viewers}</strong> <span class="soft">at most</span>
        </span>
        {ended_at ? (
          <State is={reason ? reasonName(reason) : "Ended"} tone={toneOf(reason)} />
        ) : (
          <State is="On air" tone="good" />
        )}
      </summary>
      {open && <Chart broadcast={broadcast} />}
    </details>
  );
}

function toneOf(reason: Broadcast["reason"]): "plain" | "warn" | "bad" {
  if (reason === "node_lost" || reason === "reconciled") return "bad";
  return reason === "kicked" || reason === "revoked" || reason === "taken_over" || reason === "stream_moved"
    ? "warn"
    : "plain";
}

function Chart({ broadcast }: { broadcast: Broadcast }): JSX.Element {
  const { stream, started_at, ended_at } = broadcast;
  const { data, error } = useQuery(history(stream, started_at, ended_at ?? undefined));
  if (data === undefined) return error ? <Refusal problem={error} /> : <Waiting rows={2} what="Loading the figures" />;
  return <History samples={data.items} />;
}
