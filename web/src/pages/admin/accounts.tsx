/** Who has an account, and what was done by whom. */
import { useInfiniteQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, ok, useWho } from "../../api/keystone";
import { audit, queries, users } from "../../api/queries";
import type { AuditEntry, NewUser, UpdateUser, User } from "../../api/types";
import { Copy } from "../../ui/copy";
import { Dialog } from "../../ui/dialog";
import { Note, Refusal } from "../../ui/notice";
import { Empty, State } from "../../ui/parts";
import { day } from "../../ui/time";
import { useWork } from "../../ui/work";
import { type Columns, Listing } from "./listing";

const ACCOUNTS: Columns<User> = {
  Name: ({ display_name }) => display_name,
  "E-mail": ({ email }) => email,
  Rights: ({ role, disabled_at }) =>
    disabled_at ? (
      <State is="Disabled" tone="bad" />
    ) : (
      <State is={role === "admin" ? "Operator" : "User"} tone={role === "admin" ? "good" : "plain"} />
    ),
  Registered: ({ created_at }) => day(created_at),
};
const ID: Columns<User> = { Id: ({ id }) => <code>{id}</code> };

export function Users(): JSX.Element {
  const who = useWho();
  const me = who.phase === "in" ? who.user.id : undefined;
  const query = useInfiniteQuery(users);
  const [chosen, setChosen] = useState<string>();
  const user = query.data?.pages.flatMap((page) => page.items).find(({ id }) => id === chosen);
  const change = (one: User) =>
    one.id === me ? (
      <span class="soft">You</span>
    ) : (
      <button type="button" class="small" onClick={() => setChosen(one.id)}>
        Change<span class="sr"> {one.email}</span>
      </button>
    );
  return (
    <div class="stack">
      <Add />
      <Listing label="users" query={query} columns={{ ...ACCOUNTS, Change: change, ...ID }} />
      {user && <Change key={user.id} user={user} onClose={() => setChosen(undefined)} />}
    </div>
  );
}

const renew = () => queries.invalidateQueries({ queryKey: ["users"] });
/** Where a code sets a password. */
const resetLink = (code: string) => `${location.origin}/reset#${code}`;

/** Makes an account for somebody else. */
function Add(): JSX.Element {
  const { busy, problem, run } = useWork();
  const [made, setMade] = useState<NewUser>();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const email = String(new FormData(form).get("email") ?? "").trim();
    setMade(undefined);
    return run(async () => {
      setMade(await ok(api.POST("/v1/users", { body: { email } })));
      form.reset();
      await renew();
    });
  };
  return (
    <div class="stack">
      <form class="filter" onSubmit={(event) => void submit(event)}>
        <label class="inline">
          Somebody new
          <input name="email" type="email" required placeholder="their e-mail" autocomplete="off" />
        </label>
        <button type="submit" disabled={busy}>
          {busy ? "One moment…" : "Make an account"}
        </button>
      </form>
      <Refusal problem={problem} />
      {made && (
        <Note tone="good">
          <p>Give {made.user.email} this link. It sets their password, once, within a week; it is shown this once.</p>
          <Copy label="Invitation" value={resetLink(made.reset.code)} secret />
        </Note>
      )}
    </div>
  );
}

/** What an operator can do about somebody's account. */
function Change({ user, onClose }: { user: User; onClose: () => void }): JSX.Element {
  const { busy, problem, run } = useWork();
  const [link, setLink] = useState<string>();
  const params = { path: { user: user.id } };
  const act = (work: () => Promise<unknown>) => run(() => work().finally(renew));
  const update = (body: UpdateUser) => act(() => api.PATCH("/v1/users/{user}", { params, body }));
  const makeLink = () =>
    act(async () => {
      const made = await ok(api.POST("/v1/users/{user}:reset-password", { params }));
      setLink(resetLink(made.code));
    });
  const operator = user.role === "admin";
  return (
    <Dialog title={user.display_name} onClose={onClose}>
      <div class="stack">
        <p class="soft">{user.email}</p>
        <div>
          <h3>Forgotten password</h3>
          <p class="soft">Give them a link that sets a new password, once, within a day.</p>
          {link === undefined ? (
            <button type="button" disabled={busy} onClick={() => void makeLink()}>
              Make a reset link
            </button>
          ) : (
            <Copy label="Reset link" value={link} secret />
          )}
        </div>
        <div>
          <h3>Rights</h3>
          <p class="soft">
            {operator
              ? "An operator sees and changes everything of this cluster."
              : "A user has their own streams, and sees nothing of the cluster."}
          </p>
          <button type="button" disabled={busy} onClick={() => void update({ role: operator ? "user" : "admin" })}>
            {operator ? "Make a user" : "Make an operator"}
          </button>
        </div>
        <div>
          <h3>{user.disabled_at ? "Disabled" : "Disable"}</h3>
          <p class="soft">
            {user.disabled_at
              ? `Since ${day(user.disabled_at)} nobody signs in with it or publishes its streams.`
              : "Every sign-in ends, and so do its live streams. Nobody signs in with it or publishes its streams until it is enabled again."}
          </p>
          <button
            type="button"
            class={user.disabled_at ? undefined : "danger"}
            disabled={busy}
            onClick={() => void update({ disabled: !user.disabled_at })}
          >
            {user.disabled_at ? "Enable" : "Disable"}
          </button>
        </div>
      </div>
      <Refusal problem={problem} />
      <div class="actions end">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
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
