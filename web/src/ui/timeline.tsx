/** Sessions as bars over time: who came when, and who is still there. */
import type { JSX } from "preact";
import type { Session } from "../api/types";
import { clock, count } from "./time";

/** More rows than this are a wall, not a picture. */
const ROWS_MAX = 24;
const ROW = 10;
/** A shorter time would make every bar a full one. */
const SPAN_MIN_MS = 60_000;

export function Timeline({ sessions }: { sessions: readonly Session[] }): JSX.Element | null {
  const shown = sessions.slice(0, ROWS_MAX);
  if (shown.length === 0) return null;
  const now = Date.now();
  const from = Math.min(now - SPAN_MIN_MS, ...shown.map(({ opened_at }) => Date.parse(opened_at)));
  const width = now - from;
  const x = (at: string | null | undefined): number => (((at ? Date.parse(at) : now) - from) / width) * 1000;
  const watching = sessions.filter(({ role }) => role === "play").length;
  return (
    <figure class="panel timeline">
      <svg
        viewBox={`0 0 1000 ${shown.length * ROW}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${count(watching, "viewer")} since ${clock(from)}`}
        height={Math.min(240, shown.length * 12)}
      >
        {shown.map((session, row) => (
          <rect
            key={session.id}
            class={session.role}
            x={x(session.opened_at)}
            y={row * ROW + 2}
            width={Math.max(4, x(session.closed_at) - x(session.opened_at))}
            height={ROW - 4}
            rx="2"
          />
        ))}
      </svg>
      <figcaption>
        <span>{clock(from)}</span>
        <span class="legend publish">Publisher</span>
        <span class="legend play">Viewers</span>
        <span>now</span>
      </figcaption>
    </figure>
  );
}
