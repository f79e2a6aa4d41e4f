/** A refusal by a service (`application/problem+json`, RFC 9457) or by the network. */
export class Problem extends Error {
  constructor(
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** Stable code, e.g. `stream-busy`; `network` when no answer came. */
    readonly code: string,
    message: string,
    /** Seconds to wait before asking again, if the service said so. */
    readonly retryAfter?: number,
  ) {
    super(message);
    this.name = "Problem";
  }
}

/** Reads a refused answer. A proxy's own error page has no problem body: then the status has to do. */
export async function problemOf(answer: Response): Promise<Problem> {
  const text = await answer.text().catch(() => "");
  const retryAfter = seconds(answer.headers.get("retry-after"));
  try {
    const body: unknown = JSON.parse(text);
    if (isRecord(body)) {
      const code = typeof body.code === "string" ? body.code : `http-${answer.status}`;
      const said = [body.detail, body.title].find((part) => typeof part === "string" && part !== "");
      return new Problem(answer.status, code, String(said ?? `status ${answer.status}`), retryAfter);
    }
  } catch {
    // Not JSON.
  }
  return new Problem(
    answer.status,
    `http-${answer.status}`,
    `The server answered with status ${answer.status}.`,
    retryAfter,
  );
}

/** What a failed `fetch` means to its caller. */
export function networkProblem(): Problem {
  return new Problem(0, "network", "The server cannot be reached. Check the connection.");
}

/** `Retry-After`: seconds or a date. */
export function seconds(value: string | null, now: number = Date.now()): number | undefined {
  if (value === null || value.trim() === "") return undefined;
  const count = Number(value);
  if (Number.isFinite(count)) return Math.max(0, count);
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - now) / 1000));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
