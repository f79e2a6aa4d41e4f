/** Who has an account, and what was done by whom. */
import { useInfiniteQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { audit, users as usersQuery } from "../../api/queries";
import type { AuditEntry } from "../../api/types";
import { Refusal } from "../../ui/notice";
import { Empty, More, Scroll, State, Waiting } from "../../ui/parts";
import { day } from "../../ui/time";

export function Users(): JSX.Element {
  const query = useInfiniteQuery(usersQuery);
  if (query.data === undefined)
    return query.error ? (
      <Refusal problem={query.error} again={() => void query.refetch()} />
    ) : (
      <Waiting what="Loading users" />
    );
  const users = query.data.pages.flatMap((page) => page.items);
  return (
    <>
      <Scroll label="Users" panel>
        <table>
          <thead>
            <tr>
              <th>Name</th>
              <th>E-mail</th>
              <th>Rights</th>
              <th>Registered</th>
              <th>Id</th>
            </tr>
          </thead>
          <tbody>
            {users.map(({ id, display_name, email, role, created_at }) => (
              <tr key={id}>
                <td>{display_name}</td>
                <td>{email}</td>
                <td>
                  <State is={role === "admin" ? "Operator" : "User"} tone={role === "admin" ? "good" : "plain"} />
                </td>
                <td>{day(created_at)}</td>
                <td>
                  <code>{id}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <More query={query} />
    </>
  );
}

export function Audit(): JSX.Element {
  const [target, setTarget] = useState("");
  const query = useInfiniteQuery(audit(target));
  const entries = query.data?.pages.flatMap((page) => page.items) ?? [];
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    setTarget(String(new FormData(event.currentTarget as HTMLFormElement).get("target") ?? "").trim());
  };
  return (
    <div class="stack">
      <form class="filter" onSubmit={submit}>
        <label class="inline">
          Only of
          <input name="target" placeholder="stream/abc, node/node-0, user/…" />
        </label>
        <button type="submit">Filter</button>
      </form>
      {query.data === undefined &&
        (query.error ? (
          <Refusal problem={query.error} again={() => void query.refetch()} />
        ) : (
          <Waiting what="Loading the audit log" />
        ))}
      {query.data && entries.length === 0 && (
        <Empty icon="info" title="Nothing of that kind">
          <p>What people change is written down here: streams, keys, tokens, nodes, sign-ins.</p>
        </Empty>
      )}
      {entries.length > 0 && <Entries entries={entries} />}
      <More query={query} />
    </div>
  );
}

function Entries({ entries }: { entries: AuditEntry[] }): JSX.Element {
  return (
    <Scroll label="Audit log" panel>
      <table>
        <thead>
          <tr>
            <th>When</th>
            <th>What</th>
            <th>To</th>
            <th>Who</th>
            <th>From</th>
            <th>More</th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ id, at, action, target, actor, ip, detail }) => (
            <tr key={id}>
              <td>{day(at)}</td>
              <td>{action}</td>
              <td>
                <code>{target}</code>
              </td>
              <td>{actor ? <code>{actor.slice(0, 8)}</code> : "the cluster"}</td>
              <td>{ip ?? "–"}</td>
              <td class="soft detail">{Object.keys(detail ?? {}).length > 0 ? JSON.stringify(detail) : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
