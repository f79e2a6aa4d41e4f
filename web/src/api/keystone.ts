/** The page's one client, and control-api's calls by name. */
import { useEffect, useState } from "preact/hooks";
import { API_BASE } from "../config";
import { Client, type Who } from "./client";
import type { Ingest, IssuedToken, NewStream, Page, Stream, Visibility } from "./types";

export const client = new Client(API_BASE);

/** Seconds that a token made for one start of this page's player or publisher lives. */
const TOKEN_SECONDS = 120;

/** Who is signed in, kept current. */
export function useWho(): Who {
  const [who, set] = useState(client.who);
  useEffect(() => {
    set(client.who);
    return client.subscribe(() => set(client.who));
  }, []);
  return who;
}

const at = (id: string): string => `/v1/streams/${encodeURIComponent(id)}`;

/** Public streams that are live. */
export const directory = (): Promise<Page<Stream>> => client.ask("/v1/streams?limit=100");

export const ownStreams = (): Promise<Page<Stream>> => client.ask("/v1/streams?owner=me&limit=200");

export const stream = (id: string): Promise<Stream> => client.ask(at(id));

export const createStream = (title: string, visibility: Visibility, idempotencyKey: string): Promise<NewStream> =>
  client.ask("/v1/streams", { method: "POST", body: { title, visibility }, idempotencyKey });

export const rotateKey = (id: string): Promise<{ stream_key: string }> =>
  client.ask(`${at(id)}:rotate-key`, { method: "POST", body: { overlap_seconds: 0 } });

export const deleteStream = (id: string): Promise<void> => client.ask(at(id), { method: "DELETE" });

export const ingest = (id: string): Promise<Ingest> => client.ask(`${at(id)}/ingest`);

/** A token for one start, now. */
export const tokenFor = async (id: string, action: "publish" | "play"): Promise<string> => {
  const body = { action, ttl_seconds: TOKEN_SECONDS, single_use: true };
  return (await client.ask<IssuedToken>(`${at(id)}/tokens`, { method: "POST", body })).token;
};
