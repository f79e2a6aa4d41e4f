/** The right end of the bar: light or dark, and the account. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { client, useWho } from "../api/keystone";
import { registration } from "../api/queries";
import { go } from "../router";
import { Icon } from "./icons";
import { apply, next, type Theme, theme } from "./theme";
import { initial } from "./words";

const ICONS = { auto: "auto", light: "sun", dark: "moon" } as const;
const NAMES: Record<Theme, string> = { auto: "as the system", light: "light", dark: "dark" };

export function Menu(): JSX.Element {
  const who = useWho();
  return (
    <div class="menu">
      <ThemeButton />
      {who.phase === "out" && (
        <>
          <a class="button quiet" href="/signin">
            Sign in
          </a>
          <Register />
        </>
      )}
      {who.phase === "in" && <AccountMenu name={who.user.display_name} email={who.user.email} />}
    </div>
  );
}

/** Shown unless it is known that only operators make accounts. */
function Register(): JSX.Element | null {
  const { data } = useQuery(registration);
  if (data?.open === false) return null;
  return (
    <a class="button primary" href="/register">
      Register
    </a>
  );
}

function ThemeButton(): JSX.Element {
  const [now, set] = useState<Theme>(theme);
  const turn = () => {
    const chosen = next(now);
    apply(chosen);
    set(chosen);
  };
  return (
    <button
      type="button"
      class="quiet round"
      onClick={turn}
      aria-label={`Colours: ${NAMES[now]}`}
      title={`Colours: ${NAMES[now]}`}
    >
      <Icon name={ICONS[now]} />
    </button>
  );
}

function AccountMenu({ name, email }: { name: string; email: string }): JSX.Element {
  const [open, set] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (event instanceof KeyboardEvent && event.key !== "Escape") return;
      if (event instanceof MouseEvent && event.target instanceof Node && root.current?.contains(event.target)) return;
      set(false);
    };
    document.addEventListener("click", outside);
    document.addEventListener("keydown", outside);
    return () => {
      document.removeEventListener("click", outside);
      document.removeEventListener("keydown", outside);
    };
  }, [open]);
  const leave = () => {
    void client.logout().catch(() => undefined);
    go("/");
  };
  return (
    <div class="account" ref={root}>
      <button
        type="button"
        class="quiet round avatar"
        aria-expanded={open}
        aria-label={`Account of ${name}`}
        onClick={() => set(!open)}
      >
        {initial(name)}
      </button>
      {open && (
        <div class="sheet">
          <p>
            <strong>{name}</strong>
            <br />
            <span class="soft">{email}</span>
          </p>
          <a href="/account" onClick={() => set(false)}>
            Account
          </a>
          <button type="button" onClick={leave}>
            Sign out
          </button>
        </div>
      )}
    </div>
  );
}
