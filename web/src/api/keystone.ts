/** The page's one client, and control-api's calls with the types of its own description. */
import createClient from "openapi-fetch";
import { API_BASE } from "../config";
import { useStore } from "../ui/store";
import { Client, type Who } from "./client";
import type { paths } from "./schema";
import type { IssuedToken } from "./types";

export const client = new Client(API_BASE);

/** `api.GET("/v1/streams", …)`; through {@link Client.fetch}, so a refusal is thrown. Read the answer with {@link ok}. */
export const api = createClient<paths>({ baseUrl: new URL(API_BASE, location.href).href, fetch: client.fetch });

/** The body of an answer that, having come at all, is a good one. */
export async function ok<T>(answer: Promise<{ data?: T }>): Promise<T> {
  return (await answer).data as T;
}

/** Who is signed in, kept current. */
export function useWho(): Who {
  return useStore(client.subscribe, () => client.who);
}

/** Whether control-api answers, as far as the last request tells. */
export function useReached(): boolean {
  return useStore(client.subscribe, () => client.reached);
}

/** Seconds that a token made for one start of this page's player or publisher lives. */
const TOKEN_SECONDS = 120;
/** HLS shows its token again with every playlist. */
const HLS_TOKEN_SECONDS = 4 * 3600;

/** A token of one's own stream for one start, now; for HLS, for an evening. */
export async function tokenFor(stream: string, action: "publish" | "play", often = false): Promise<string> {
  const body = { action, ttl_seconds: often ? HLS_TOKEN_SECONDS : TOKEN_SECONDS, single_use: !often };
  const issued = api.POST("/v1/streams/{stream}/tokens", { params: { path: { stream } }, body });
  return (await ok<IssuedToken>(issued)).token;
}
