/** Another password: on `/account` by the one until now, on `/reset#CODE` by a code from an operator. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api } from "../api/keystone";
import { useTitle } from "../router";
import { Note, Refusal } from "../ui/notice";
import { useWork } from "../ui/work";

/** As control-api asks. */
export const PASSWORD_MIN = 10;
const PASSWORD_MAX = 256;

/** Where a new password is typed; browsers offer one of their own making. */
export function NewPassword({ label }: { label: string }): JSX.Element {
  return (
    <label>
      {label} <span class="hint">at least {PASSWORD_MIN} characters</span>
      <input
        name="password"
        type="password"
        required
        minLength={PASSWORD_MIN}
        maxLength={PASSWORD_MAX}
        autocomplete="new-password"
      />
    </label>
  );
}

/** Does `send` with what a form holds, and says how that went. */
function useForm(send: (text: (field: string) => string) => Promise<unknown>) {
  const { busy, problem, run } = useWork();
  const [done, setDone] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const data = new FormData(form);
    setDone(false);
    if (!(await run(() => send((field) => String(data.get(field) ?? ""))))) return;
    form.reset();
    setDone(true);
  };
  return { problem, busy, done, submit };
}

export function ChangePassword({ email }: { email: string }): JSX.Element {
  const { problem, busy, done, submit } = useForm((text) =>
    api.POST("/v1/auth/password", {
      body: { current_password: text("current"), password: text("password") },
    }),
  );
  return (
    <form class="panel" onSubmit={(event) => void submit(event)}>
      <h2>Password</h2>
      <p class="soft">A new password signs out every other browser and program of this account.</p>
      {/* Tells the browser's password store whose it is. */}
      <input type="email" name="username" value={email} autocomplete="username" hidden readOnly />
      <label>
        Current password
        <input name="current" type="password" required maxLength={PASSWORD_MAX} autocomplete="current-password" />
      </label>
      <NewPassword label="New password" />
      <Refusal problem={problem} />
      {done && <Note tone="good">The password is changed.</Note>}
      <div class="actions">
        <button type="submit" disabled={busy}>
          {busy ? "One moment…" : "Change password"}
        </button>
      </div>
    </form>
  );
}

export function ResetPassword(): JSX.Element {
  useTitle("New password");
  const code = location.hash.slice(1);
  const { problem, busy, done, submit } = useForm((text) =>
    api.POST("/v1/auth/password:reset", { body: { code, password: text("password") } }),
  );
  return (
    <section class="narrow">
      <h1>New password</h1>
      {code === "" && <Note tone="warn">This link is not whole. Copy all of it, or ask for another.</Note>}
      {done ? (
        <>
          <Note tone="good">The password is set. Every browser and program has to sign in with it.</Note>
          <p>
            <a class="button primary" href="/signin">
              Sign in
            </a>
          </p>
        </>
      ) : (
        <form class="panel" onSubmit={(event) => void submit(event)}>
          <NewPassword label="New password" />
          <Refusal problem={problem} />
          <button type="submit" class="primary" disabled={busy || code === ""}>
            {busy ? "One moment…" : "Set the password"}
          </button>
        </form>
      )}
    </section>
  );
}
