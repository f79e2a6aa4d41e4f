/** Every stream of the cluster, live ones first. */
import { useInfiniteQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { allStreams } from "../../api/queries";
import { Refusal } from "../../ui/notice";
import { Empty, Lamp, More, Scroll, VisibilityTag, Waiting } from "../../ui/parts";
import { ago } from "../../ui/time";
import { protocolName } from "../../ui/words";

export function AllStreams(): JSX.Element {
  const query = useInfiniteQuery(allStreams);
  if (query.data === undefined)
    return query.error ? (
      <Refusal problem={query.error} again={() => void query.refetch()} />
    ) : (
      <Waiting what="Loading streams" />
    );
  const streams = query.data.pages.flatMap((page) => page.items);
  if (streams.length === 0) {
    return (
      <Empty icon="live" title="No streams yet">
        <p>As soon as somebody makes one it is listed here.</p>
      </Empty>
    );
  }
  const sorted = [...streams].sort((a, b) => Number(Boolean(b.live)) - Number(Boolean(a.live)));
  return (
    <>
      <Scroll label="Streams" panel>
        <table>
          <thead>
            <tr>
              <th>Stream</th>
              <th>Owner</th>
              <th>Now</th>
              <th>Viewers</th>
              <th>Node</th>
              <th>By</th>
              <th>Made</th>
            </tr>
          </thead>
          <tbody>
            {sorted.map(({ id, title, owner_name, visibility, live, created_at }) => (
              <tr key={id}>
                <td>
                  <a href={`/admin/streams/${id}`}>{title}</a> <VisibilityTag of={visibility} />
                </td>
                <td>{owner_name}</td>
                <td>
                  <Lamp on={Boolean(live)} />
                </td>
                <td>{live?.viewers ?? "–"}</td>
                <td>{live ? <a href={`/admin/nodes/${live.node}`}>{live.node}</a> : "–"}</td>
                <td>{live ? protocolName(live.protocol) : "–"}</td>
                <td>{ago(created_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <More query={query} />
    </>
  );
}
