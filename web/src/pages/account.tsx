/** `/signin` and `/register`. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { client, useWho } from "../api/keystone";
import { registration } from "../api/queries";
import { go, useTitle } from "../router";
import { Note, Refusal } from "../ui/notice";
import { useWork } from "../ui/work";
import { NewPassword } from "./password";

export function Account({ register }: { register: boolean }): JSX.Element {
  const { busy, problem, run } = useWork();
  const who = useWho();
  const closed = useQuery(registration).data?.open === false;
  const name = register ? "Register" : "Sign in";
  useTitle(name);
  useEffect(() => {
    if (who.phase === "in") go(after(location.hash), true);
  }, [who.phase]);

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (field: string): string => String(form.get(field) ?? "");
    const [email, password] = [text("email").trim(), text("password")];
    return run(() =>
      register ? client.register(email, password, text("name").trim()) : client.login(email, password),
    );
  };
  if (register && closed)
    return (
      <section class="narrow">
        <h1>{name}</h1>
        <p class="lead">Accounts are made by an operator of this site. Ask one for an invitation.</p>
        <p>
          Have one already? <a href={`/signin${location.hash}`}>Sign in</a>
        </p>
      </section>
    );
  return (
    <section class="narrow">
      <h1>{name}</h1>
      <p class="lead">
        {register ? "One account to publish from a browser or any encoder." : "Good to see you again."}
      </p>
      {!register && who.phase === "out" && who.expired && (
        <Note>Your sign-in has ended. Sign in again to go on where you were.</Note>
      )}
      <form class="panel" onSubmit={(event) => void submit(event)}>
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
        {register ? (
          <NewPassword label="Password" />
        ) : (
          <label>
            Password
            <input name="password" type="password" required maxLength={256} autocomplete="current-password" />
          </label>
        )}
        <Refusal problem={problem} />
        <button type="submit" class="primary" disabled={busy}>
          {busy ? "One moment…" : name}
        </button>
      </form>
      {!closed && (
        <p>
          {register ? "Registered already? " : "New here? "}
          <a href={(register ? "/signin" : "/register") + location.hash}>{register ? "Sign in" : "Register"}</a>
        </p>
      )}
      {!register && (
        <p class="soft">Forgot the password? An operator of this site can give you a link that sets a new one.</p>
      )}
    </section>
  );
}

/** Where to go after signing in: the page that asked for it, if it is one of ours. */
export function after(hash: string): string {
  const path = hash.slice(1);
  return path.startsWith("/") && !/^\/[/\\]/.test(path) ? path : "/streams";
}
