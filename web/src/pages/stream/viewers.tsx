/** Who publishes and who watches now, since when, and the end of it. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api } from "../../api/keystone";
import { queries, viewers } from "../../api/queries";
import type { Session, Stream } from "../../api/types";
import { Confirm } from "../../ui/dialog";
import { Refusal } from "../../ui/notice";
import { Empty, Scroll, State, Ticking, Waiting } from "../../ui/parts";
import { ago, bitrate } from "../../ui/time";
import { Timeline } from "../../ui/timeline";
import { protocolName } from "../../ui/words";

export function Viewers({ stream }: { stream: Stream }): JSX.Element {
  const { data, error, refetch } = useQuery(viewers(stream.id));
  if (data === undefined)
    return error ? <Refusal problem={error} again={() => void refetch()} /> : <Waiting what="Loading sessions" />;
  const sessions = [...data.items].sort(
    (a, b) =>
      Number(b.role === "publish") - Number(a.role === "publish") || Date.parse(a.opened_at) - Date.parse(b.opened_at),
  );
  if (sessions.length === 0) {
    return (
      <Empty icon="users" title="Nobody is here">
        <p>
          {stream.live
            ? "Nobody watches right now."
            : "The stream is off air. While it is live, this shows who publishes and who watches."}
        </p>
      </Empty>
    );
  }
  return (
    <div class="stack">
      <Timeline sessions={sessions} />
      <SessionTable sessions={sessions} />
      {data.next_cursor && <p class="soft">The first 200 are shown.</p>}
    </div>
  );
}

/** Sessions with a way to end each. */
export function SessionTable({
  sessions,
  withStream = false,
}: {
  sessions: Session[];
  withStream?: boolean;
}): JSX.Element {
  const [kicking, setKicking] = useState<Session>();
  const kick = async (session: Session) => {
    await api.DELETE("/v1/sessions/{session}", { params: { path: { session: session.id } } });
    await queries.invalidateQueries({ queryKey: ["sessions"] });
  };
  return (
    <>
      <Scroll label="Sessions">
        <table>
          <thead>
            <tr>
              <th>Who</th>
              {withStream && <th>Stream</th>}
              <th>By</th>
              <th>Since</th>
              <th>Bitrate</th>
              <th>Address</th>
              <th>Node</th>
              <th>
                <span class="sr">End</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {sessions.map((session) => (
              <tr key={session.id} data-role={session.role}>
                <td>
                  <State
                    is={session.role === "publish" ? "Publisher" : "Viewer"}
                    tone={session.role === "publish" ? "good" : "plain"}
                  />
                </td>
                {withStream && (
                  <td>
                    <a href={`/admin/streams/${session.stream}`}>{session.stream}</a>
                  </td>
                )}
                <td>{protocolName(session.protocol)}</td>
                <td>
                  <Ticking text={() => ago(session.opened_at)} />
                </td>
                <td>{session.kbps == null ? "–" : bitrate(session.kbps)}</td>
                <td>{session.ip ?? "–"}</td>
                <td>{session.node}</td>
                <td class="right">
                  <button type="button" class="small danger-quiet" onClick={() => setKicking(session)}>
                    Kick
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {kicking && (
        <Confirm
          title={kicking.role === "publish" ? "End this broadcast?" : "Kick this viewer?"}
          verb="Kick"
          act={() => kick(kicking)}
          onClose={() => setKicking(undefined)}
        >
          <p>
            {kicking.role === "publish"
              ? "The publisher is cut off and the stream goes off air. With the key they can come back; make a new key to keep them out."
              : "They are cut off at once. A page that still may watch comes back by itself; make the stream private or take back their link to keep them out."}
          </p>
        </Confirm>
      )}
    </>
  );
}
