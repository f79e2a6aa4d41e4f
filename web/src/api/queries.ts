/** What the pages ask of control-api, by name. Keys begin with what the thing is, so that news of it can void all of them (`news.ts`). */
import { infiniteQueryOptions, QueryClient, queryOptions } from "@tanstack/preact-query";
import { api, client, ok } from "./keystone";
import { Problem } from "./problem";

/** Lists of what changes by itself are looked at again this often even without news. */
const SOON_MS = 5_000;
const LATER_MS = 20_000;

/** Tried again: what may pass by itself. */
function passing(problem: unknown): boolean {
  return problem instanceof Problem && (problem.status === 0 || problem.status >= 500 || problem.status === 429);
}

export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // The browser's own idea of being online knows nothing of a cluster on this machine.
      networkMode: "always",
      staleTime: 2_000,
      retry: (tries, problem) => tries < 2 && passing(problem),
      retryDelay: (tries, problem) => ((problem instanceof Problem && problem.retryAfter) || 2 ** tries) * 1000,
    },
    mutations: { networkMode: "always" },
  },
});

/** Whoever signs in or out sees other things. */
let seenBy: string | undefined;
client.subscribe(() => {
  const who = client.who.phase === "in" ? client.who.user.id : client.who.phase;
  if (seenBy !== undefined && seenBy !== who && seenBy !== "starting") queries.clear();
  seenBy = who;
});

/** Where a page of a list begins; the first one nowhere. */
const after = (cursor: string | undefined) => (cursor === undefined ? {} : { cursor });

const streamAt = (stream: string) => ({ params: { path: { stream } } });

export const directory = queryOptions({
  queryKey: ["streams", "live"],
  queryFn: ({ signal }) => ok(api.GET("/v1/streams", { params: { query: { limit: 100 } }, signal })),
  refetchInterval: SOON_MS,
});

const streamsOf = (owner: "me" | "all") =>
  infiniteQueryOptions({
    queryKey: ["streams", owner],
    queryFn: ({ pageParam, signal }) =>
      ok(api.GET("/v1/streams", { params: { query: { owner, limit: 100, ...after(pageParam) } }, signal })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    refetchInterval: LATER_MS,
  });

export const ownStreams = streamsOf("me");
export const allStreams = streamsOf("all");

/** `who` is part of the question: a private stream is there for its owner only. */
export const stream = (id: string, who: string) =>
  queryOptions({
    queryKey: ["stream", id, who],
    queryFn: ({ signal }) => ok(api.GET("/v1/streams/{stream}", { ...streamAt(id), signal })),
    // What is not there for this user is asked for again only when they are somebody else.
    refetchInterval: ({ state }) => (state.error instanceof Problem && state.error.status === 404 ? false : SOON_MS),
  });

export const ingest = (id: string) =>
  queryOptions({
    queryKey: ["ingest", id],
    queryFn: ({ signal }) => ok(api.GET("/v1/streams/{stream}/ingest", { ...streamAt(id), signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const playback = (id: string) =>
  queryOptions({
    queryKey: ["playback", id],
    queryFn: ({ signal }) => ok(api.GET("/v1/streams/{stream}/playback", { ...streamAt(id), signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const tokens = (id: string) =>
  queryOptions({
    queryKey: ["tokens", id],
    queryFn: ({ signal }) =>
      ok(
        api.GET("/v1/streams/{stream}/tokens", {
          params: { path: { stream: id }, query: { limit: 200 } },
          signal,
        }),
      ),
  });

export const viewers = (id: string) =>
  queryOptions({
    queryKey: ["sessions", id],
    queryFn: ({ signal }) =>
      ok(
        api.GET("/v1/streams/{stream}/sessions", {
          params: { path: { stream: id }, query: { limit: 200 } },
          signal,
        }),
      ),
    refetchInterval: LATER_MS,
  });

export const sessions = queryOptions({
  queryKey: ["sessions", "all"],
  queryFn: ({ signal }) => ok(api.GET("/v1/sessions", { params: { query: { limit: 200 } }, signal })),
  refetchInterval: LATER_MS,
});

export const broadcasts = (id: string) =>
  infiniteQueryOptions({
    queryKey: ["broadcasts", id],
    queryFn: ({ pageParam, signal }) =>
      ok(
        api.GET("/v1/streams/{stream}/broadcasts", {
          params: { path: { stream: id }, query: { limit: 20, ...after(pageParam) } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });

/** Viewers and bitrates; `from` and `to` are RFC 3339. A span that goes on has no `to` and is looked at again. */
export const history = (id: string, from: string, to?: string) =>
  queryOptions({
    queryKey: ["history", id, from, to],
    queryFn: ({ signal }) =>
      ok(
        api.GET("/v1/streams/{stream}/history", {
          params: { path: { stream: id }, query: { from, ...(to === undefined ? {} : { to }) } },
          signal,
        }),
      ),
    refetchInterval: to === undefined ? 10_000 : false,
  });

export const route = (id: string) =>
  queryOptions({
    queryKey: ["route", id],
    queryFn: ({ signal }) =>
      ok(api.GET("/v1/streams/{stream}/route", { params: { path: { stream: id }, query: { explain: 1 } }, signal })),
    refetchInterval: SOON_MS,
  });

export const nodes = queryOptions({
  queryKey: ["nodes"],
  queryFn: ({ signal }) => ok(api.GET("/v1/nodes", { signal })),
  refetchInterval: SOON_MS,
});

/** With its drain, which moves by the second. */
export const node = (id: string) =>
  queryOptions({
    queryKey: ["nodes", id],
    queryFn: ({ signal }) => ok(api.GET("/v1/nodes/{node}", { params: { path: { node: id } }, signal })),
    refetchInterval: ({ state }) => (state.data?.drain ? 1_000 : SOON_MS),
  });

export const edges = queryOptions({
  queryKey: ["edges"],
  queryFn: ({ signal }) => ok(api.GET("/v1/edges", { signal })),
  refetchInterval: SOON_MS,
});

export const controls = queryOptions({
  queryKey: ["controls"],
  queryFn: ({ signal }) => ok(api.GET("/v1/controls", { signal })),
  refetchInterval: SOON_MS,
});

export const registration = queryOptions({
  queryKey: ["registration"],
  queryFn: ({ signal }) => ok(api.GET("/v1/auth/register", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

export const users = infiniteQueryOptions({
  queryKey: ["users"],
  queryFn: ({ pageParam, signal }) =>
    ok(api.GET("/v1/users", { params: { query: { limit: 50, ...after(pageParam) } }, signal })),
  initialPageParam: undefined as string | undefined,
  getNextPageParam: (last) => last.next_cursor ?? undefined,
});

export const audit = (target: string) =>
  infiniteQueryOptions({
    queryKey: ["audit", target],
    queryFn: ({ pageParam, signal }) =>
      ok(
        api.GET("/v1/audit", {
          params: { query: { limit: 50, ...after(pageParam), ...(target === "" ? {} : { target }) } },
          signal,
        }),
      ),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
