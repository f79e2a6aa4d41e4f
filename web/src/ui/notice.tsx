import type { ComponentChildren, JSX } from "preact";
import { Problem } from "../api/problem";

/** A refusal in plain words, with what to do about it below. */
export function Refusal({ problem, children }: { problem: unknown; children?: ComponentChildren }): JSX.Element | null {
  if (problem === undefined) return null;
  return (
    <div class="notice bad" role="alert" data-code={problem instanceof Problem ? problem.code : "unknown"}>
      <p>{words(problem)}</p>
      {children}
    </div>
  );
}

/** The services' texts are for people, but start in lower case because they also stand in logs. */
export function words(problem: unknown): string {
  const text = problem instanceof Error ? problem.message : String(problem);
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}
