/** `/signin` and `/register`. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { client, useWho } from "../api/keystone";
import { go } from "../router";
import { Refusal } from "../ui/notice";

/** As control-api asks. */
const PASSWORD_MIN = 10;

export function Account({ register }: { register: boolean }): JSX.Element {
  const [problem, setProblem] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const who = useWho();
  useEffect(() => {
    if (who.phase === "in") go(after(location.hash));
  }, [who.phase]);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => String(form.get(name) ?? "");
    setBusy(true);
    setProblem(undefined);
    try {
      if (register) await client.register(text("email").trim(), text("password"), text("name").trim());
      else await client.login(text("email").trim(), text("password"));
    } catch (refused) {
      setProblem(refused);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section class="narrow">
      <h1>{register ? "Register" : "Sign in"}</h1>
      <form onSubmit={(event) => void submit(event)}>
        {register && (
          <label>
            Name <span class="hint">shown with your streams; may stay empty</span>
            <input name="name" maxLength={80} autocomplete="nickname" />
          </label>
        )}
        <label>
          E-mail
          <input name="email" type="email" required autocomplete="username" />
        </label>
        <label>
          Password {register && <span class="hint">at least {PASSWORD_MIN} characters</span>}
          <input
            name="password"
            type="password"
            required
            minLength={register ? PASSWORD_MIN : 1}
            maxLength={256}
            autocomplete={register ? "new-password" : "current-password"}
          />
        </label>
        <Refusal problem={problem} />
        <button type="submit" class="primary" disabled={busy}>
          {register ? "Register" : "Sign in"}
        </button>
      </form>
      <p>
        {register ? "Registered already? " : "New here? "}
        <a href={(register ? "/signin" : "/register") + location.hash}>{register ? "Sign in" : "Register"}</a>
      </p>
    </section>
  );
}

/** Where to go after signing in: the page that asked for it, if it is one of ours. */
function after(hash: string): string {
  const path = hash.slice(1);
  return path.startsWith("/") && !path.startsWith("//") ? path : "/streams";
}
