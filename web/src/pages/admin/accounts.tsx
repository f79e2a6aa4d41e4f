/** Who has an account, and what was done by whom. */
import { useInfiniteQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { audit, users } from "../../api/queries";
import type { AuditEntry, User } from "../../api/types";
import { Empty, State } from "../../ui/parts";
import { day } from "../../ui/time";
import { type Columns, Listing } from "./listing";

const ACCOUNTS: Columns<User> = {
  Name: ({ display_name }) => display_name,
  "E-mail": ({ email }) => email,
  Rights: ({ role }) => (
    <State is={role === "admin" ? "Operator" : "User"} tone={role === "admin" ? "good" : "plain"} />
  ),
  Registered: ({ created_at }) => day(created_at),
  Id: ({ id }) => <code>{id}</code>,
};

export function Users(): JSX.Element {
  return <Listing label="users" query={useInfiniteQuery(users)} columns={ACCOUNTS} />;
}

const ENTRIES: Columns<AuditEntry> = {
  When: ({ at }) => day(at),
  What: ({ action }) => action,
  To: ({ target }) => <code>{target}</code>,
  Who: ({ actor }) => (actor ? <code>{actor.slice(0, 8)}</code> : "the cluster"),
  From: ({ ip }) => ip ?? "–",
  More: ({ detail }) => (
    <span class="soft detail">{Object.keys(detail ?? {}).length > 0 ? JSON.stringify(detail) : ""}</span>
  ),
};

export function Audit(): JSX.Element {
  const [target, setTarget] = useState("");
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
      <Listing
        label="audit log"
        query={useInfiniteQuery(audit(target))}
        columns={ENTRIES}
        empty={
          <Empty icon="info" title="Nothing of that kind">
            <p>What people change is written down here: streams, keys, tokens, nodes, sign-ins.</p>
          </Empty>
        }
      />
    </div>
  );
}
