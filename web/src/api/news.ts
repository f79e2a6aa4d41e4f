/** News of the cluster (`GET /v1/events`): what each piece voids of what the pages have read, and the last pieces for those who want to look. */
import { useEffect } from "preact/hooks";
import { API_BASE } from "../config";
import { useStore } from "../ui/store";
import { listen, type ServerEvent } from "./events";
import { client, useWho } from "./keystone";
import { Problem } from "./problem";
import { queries } from "./queries";

/** Pieces of news that are kept to look at. */
const KEPT_MAX = 200;
/** Pieces within this time void what they void together, ms. */
const TOGETHER_MS = 250;
/** A page that cannot be seen stops listening after this time, ms: browsers open six connections to a plain-http host, over all windows. */
const HIDDEN_MS = 60_000;

export interface News {
  /** Grows. */
  number: number;
  at: number;
  name: string;
  stream: string | undefined;
  node: string | undefined;
  /** What else it says, for people. */
  says: string;
}

type Fields = Record<string, unknown>;
const text = (fields: unknown, name: string): string | undefined => {
  const value = (fields as Fields | null | undefined)?.[name];
  return typeof value === "string" ? value : undefined;
};

/** Reads an event. `undefined` for one without a body that reads. */
export function read({ name, data }: ServerEvent): Omit<News, "number" | "at"> | undefined {
  let body: Fields;
  try {
    body = JSON.parse(data) as Fields;
  } catch {
    return undefined;
  }
  const inner = body.placement ?? body.session ?? body;
  const parts = [text(inner, "role"), text(inner, "protocol"), text(body, "reason")?.replaceAll("_", " ")];
  if (body.deleted === true) parts.push("deleted");
  return {
    name,
    stream: text(inner, "stream") ?? text(body, "stream"),
    node: text(inner, "node") ?? text(body, "node"),
    says: parts.filter((part) => part !== undefined).join(" · "),
  };
}

/** Beginnings of the keys (`queries.ts`) that hold something else now. */
export function voided({ name, stream }: Pick<News, "name" | "stream">): string[][] {
  const ofStream =
    stream === undefined
      ? [["stream"]]
      : [
          ["stream", stream],
          ["sessions", stream],
          ["route", stream],
        ];
  switch (name) {
    case "stream_live":
    case "stream_ended":
      return [["streams"], ["nodes"], ["sessions", "all"], ["broadcasts", ...(stream ? [stream] : [])], ...ofStream];
    case "session_opened":
    case "session_closed":
      return [["streams"], ["sessions", "all"], ["nodes"], ...ofStream];
    case "stream_changed":
      return [["streams"], ...ofStream];
    case "node_up":
    case "node_down":
      return [["nodes"], ["route"], ["edges"]];
    default:
      return [];
  }
}

let kept: readonly News[] = [];
let on = false;
let count = 0;
const listeners = new Set<() => void>();
const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};
const tell = () => {
  for (const listener of listeners) listener();
};

let due: Map<string, string[]> | "all" | undefined;
/** Without keys everything: news was lost, or none was heard for a while. */
function voidSoon(keys?: string[][]): void {
  if (keys?.length === 0) return;
  if (due === undefined) setTimeout(voidNow, TOGETHER_MS);
  if (keys === undefined) due = "all";
  if (keys === undefined || due === "all") return;
  due ??= new Map();
  for (const key of keys) due.set(key.join("\n"), key);
}
function voidNow(): void {
  if (due === "all") void queries.invalidateQueries();
  else for (const queryKey of due?.values() ?? []) void queries.invalidateQueries({ queryKey });
  due = undefined;
}

function heard(event: ServerEvent): void {
  const news = read(event);
  if (!news) return;
  // `gap` and `overrun` are about the listening, which ends with them: the next connection voids everything.
  if (event.name === "gap" || event.name === "overrun") return;
  voidSoon(voided(news));
  kept = [{ ...news, number: ++count, at: Date.now() }, ...kept].slice(0, KEPT_MAX);
  tell();
}

function start(): () => void {
  return listen({
    open: (signal) => client.fetch(new Request(new URL(`${API_BASE}/v1/events`, location.href), { signal })),
    heard,
    connected: () => {
      on = true;
      tell();
      voidSoon();
    },
    lost: () => {
      on = false;
      tell();
    },
    hopeless: (problem) => problem instanceof Problem && (problem.status === 401 || problem.status === 403),
  });
}

/** Listens while somebody is signed in and the page can be seen. Mounted once. */
export function useListening(): void {
  const who = useWho();
  const user = who.phase === "in" ? who.user.id : undefined;
  useEffect(() => {
    if (user === undefined) return;
    let stop: (() => void) | undefined = document.hidden ? undefined : start();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const seen = () => {
      clearTimeout(timer);
      if (!document.hidden) stop ??= start();
      else
        timer = setTimeout(() => {
          stop?.();
          stop = undefined;
          on = false;
          tell();
        }, HIDDEN_MS);
    };
    document.addEventListener("visibilitychange", seen);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      clearTimeout(timer);
      stop?.();
      kept = [];
      on = false;
      tell();
    };
  }, [user]);
}

/** The last news, newest first. */
export function useNews(): readonly News[] {
  return useStore(subscribe, () => kept);
}

/** Whether news is heard now. */
export function useHearing(): boolean {
  return useStore(subscribe, () => on);
}
