/** The one place that shows refusals: what happened, in words, and what to do. */
import type { ComponentChildren, JSX } from "preact";
import { Problem } from "../api/problem";
import { Icon } from "./icons";

/** A refusal in plain words. `again` offers another try; children are further ways out. */
export function Refusal({
  problem,
  again,
  children,
}: {
  problem: unknown;
  again?: (() => void) | undefined;
  children?: ComponentChildren;
}): JSX.Element | null {
  if (problem === undefined || problem === null) return null;
  const advice = adviceFor(problem);
  return (
    <div class="notice bad" role="alert" data-code={problem instanceof Problem ? problem.code : "unknown"}>
      <Icon name="alert" />
      <div>
        <p>{words(problem)}</p>
        {advice !== undefined && <p class="soft">{advice}</p>}
        {children}
        {again && (
          <button type="button" class="small" onClick={again}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

/** Something to know that is no failure. */
export function Note({
  children,
  tone = "info",
}: {
  children: ComponentChildren;
  tone?: "info" | "warn" | "good";
}): JSX.Element {
  return (
    <div class={`notice ${tone}`} role="status">
      <Icon name={tone === "good" ? "check" : "info"} />
      <div>{children}</div>
    </div>
  );
}

/** The services' texts are for people, but start in lower case because they also stand in logs. */
export function words(problem: unknown): string {
  const text = problem instanceof Error ? problem.message : String(problem);
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

/** Refusals with 403 that have nothing to do with whose a thing is. */
const SAYS_ALL: readonly string[] = ["wrong-password", "account-disabled", "reset-invalid", "registration-closed"];

/** What to do, where the text itself does not say. */
export function adviceFor(problem: unknown): string | undefined {
  if (!(problem instanceof Problem)) return "Reload the page. If it stays so, tell whoever runs this site.";
  const { status, code, retryAfter } = problem;
  const wait = retryAfter === undefined ? "in a moment" : `in ${Math.ceil(retryAfter)} s`;
  if (status === 0) return code === "network" ? "This page tries again by itself. What plays goes on." : undefined;
  if (status === 429) return `Too many requests from here. Try again ${wait}.`;
  if (code === "ended-on-purpose") return "You can go live again if it was you.";
  if (SAYS_ALL.includes(code)) return undefined;
  if (status === 403) return "This is for its owner or an administrator. Sign in with another account.";
  if (code === "internal")
    return "That is a fault of the server. Try again; if it stays so, tell whoever runs this site.";
  if (status === 502 || status === 503 || status === 504)
    return `Part of the cluster is away. Try again ${wait}; live streams go on meanwhile.`;
  if (status === 404) return "Check the address. It may have been deleted.";
  return undefined;
}
