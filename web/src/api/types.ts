/** Bodies of control-api under `/v1`, as far as these pages read them. Times are RFC 3339 texts. */
export type Visibility = "public" | "unlisted" | "private";

export interface User {
  id: string;
  email: string;
  display_name: string;
  role: "user" | "admin";
}

/** Answer of login and refresh; in the cookie form the refresh token is not among it. */
export interface AccessToken {
  access_token: string;
  /** Seconds. */
  expires_in: number;
  user: User;
}

export interface Live {
  node: string;
  epoch: number;
  protocol: string;
  viewers: number;
  since: string;
}

export interface Stream {
  id: string;
  title: string;
  visibility: Visibility;
  owner: string;
  owner_name: string;
  created_at: string;
  /** Present while somebody publishes it. */
  live?: Live;
}

export interface Page<T> {
  items: T[];
  next_cursor?: string;
}

export interface NewStream {
  stream: Stream;
  /** Shown this once. */
  stream_key: string;
}

/** Where to publish. `{key}` in a text stands for the stream key. */
export interface Ingest {
  whip: string;
  rtmp_server: string;
  rtmp_stream_key: string;
  srt: string;
}

export interface IssuedToken {
  token: string;
  id: string;
}
