/** `/account`: who is signed in, and the ways out. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { client, useWho } from "../api/keystone";
import { go, useTitle } from "../router";
import { Confirm } from "../ui/dialog";
import { Head } from "../ui/parts";
import { day } from "../ui/time";
import { ChangePassword } from "./password";

export function Profile(): JSX.Element | null {
  useTitle("Account");
  const who = useWho();
  const [asking, setAsking] = useState(false);
  if (who.phase !== "in") return null;
  const { display_name, email, role, created_at } = who.user;
  const leave = () => {
    void client.logout().catch(() => undefined);
    go("/");
  };
  return (
    <section>
      <Head title="Account" />
      <div class="stack">
        <div class="panel">
          <dl class="facts">
            <dt>Name</dt>
            <dd>{display_name}</dd>
            <dt>E-mail</dt>
            <dd>{email}</dd>
            <dt>Rights</dt>
            <dd>{role === "admin" ? "Operator of this cluster" : "Own streams"}</dd>
            <dt>Registered</dt>
            <dd>{day(created_at)}</dd>
          </dl>
        </div>
        <ChangePassword email={email} />
        <div class="panel">
          <h2>Sign out</h2>
          <p class="soft">
            Signing out here ends this browser's sign-in. If you have lost a device, sign out everywhere: every browser
            and program has to sign in again. Stream keys go on working.
          </p>
          <div class="actions">
            <button type="button" onClick={leave}>
              Sign out
            </button>
            <button type="button" class="danger" onClick={() => setAsking(true)}>
              Sign out everywhere
            </button>
          </div>
        </div>
      </div>
      {asking && (
        <Confirm
          title="Sign out everywhere?"
          verb="Sign out everywhere"
          act={async () => {
            await client.logout(true);
            go("/");
          }}
          onClose={() => setAsking(false)}
        >
          <p>All browsers and programs that are signed in with this account, this one too, have to sign in again.</p>
        </Confirm>
      )}
    </section>
  );
}
