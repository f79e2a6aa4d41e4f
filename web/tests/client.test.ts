import { beforeEach, describe, expect, test, vi } from "vitest";
import { Client } from "../src/api/client";

const ADA = { id: "u1", email: "ada@example.com", display_name: "Ada", role: "user" };

/** A control-api that answers by path and notes what it was asked. */
class Server {
  asked: { path: string; bearer: string | null; keystone: string | null }[] = [];
  access = 0;
  refresh: () => Response | Promise<Response> = () => this.token();
  valid = (bearer: string | null): boolean => bearer === `Bearer access-${this.access}`;

  token(): Response {
    this.access++;
    return Response.json({ access_token: `access-${this.access}`, token_type: "Bearer", expires_in: 900, user: ADA });
  }

  answer = async ({ url, headers }: Request): Promise<Response> => {
    const path = url.slice(location.origin.length);
    const bearer = headers.get("Authorization");
    this.asked.push({ path, bearer, keystone: headers.get("X-Keystone") });
    if (path.startsWith("/api/v1/auth/login")) return this.token();
    if (path.startsWith("/api/v1/auth/refresh")) return this.refresh();
    if (path.startsWith("/api/v1/auth/logout")) return new Response(null, { status: 204 });
    if (!this.valid(bearer)) return refused(401, "access-expired");
    return Response.json({ path });
  };

  count(path: string): number {
    return this.asked.filter((each) => each.path.startsWith(path)).length;
  }
}

const refused = (status: number, code: string): Response => Response.json({ code, detail: code, status }, { status });

describe("Client", () => {
  let server: Server;
  let storage: Map<string, string>;
  let now: number;
  let client: Client;

  beforeEach(() => {
    server = new Server();
    storage = new Map();
    now = 0;
    vi.stubGlobal("fetch", (request: Request) => server.answer(request));
    const kept = {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, value: string) => void storage.set(key, value),
      removeItem: (key: string) => void storage.delete(key),
    };
    client = new Client("/api", kept, () => now);
  });
  const ask = async (path: string, init: RequestInit = {}): Promise<unknown> =>
    (await client.fetch(new Request(`${location.origin}/api${path}`, init))).json();

  test("asks no server whether a stranger is signed in", async () => {
    await client.start();
    expect(client.who).toEqual({ phase: "out", expired: false });
    expect(server.asked).toEqual([]);
  });

  test("signs in by cookie, keeps no secret in storage, and is signed in after a reload", async () => {
    await client.login("ada@example.com", "correct horse");
    expect(client.who).toMatchObject({ phase: "in", user: ADA });
    expect(server.asked[0]).toEqual({ path: "/api/v1/auth/login?session=cookie", bearer: null, keystone: "1" });
    expect([...storage.values()]).toEqual(["1"]);
    const reloaded = new Client("/api", { getItem: () => "1", setItem: () => {}, removeItem: () => {} }, () => now);
    await reloaded.start();
    expect(reloaded.who.phase).toBe("in");
    expect(server.asked.at(-1)).toMatchObject({ path: "/api/v1/auth/refresh?session=cookie", keystone: "1" });
  });

  test("renews once for many requests when the token is refused", async () => {
    await client.login("ada@example.com", "x");
    server.valid = (bearer) => bearer === "Bearer access-2";
    await Promise.all(["/a", "/b", "/c"].map((path) => ask(path)));
    expect(server.count("/api/v1/auth/refresh")).toBe(1);
  });

  test("a body goes out again with the renewed token", async () => {
    await client.login("ada@example.com", "x");
    server.valid = (bearer) => bearer === "Bearer access-2";
    await expect(ask("/a", { method: "POST", body: "{}" })).resolves.toEqual({ path: "/api/a" });
    expect(server.asked.filter(({ path }) => path === "/api/a").map(({ bearer }) => bearer)).toEqual([
      "Bearer access-1",
      "Bearer access-2",
    ]);
  });

  test("knows whether control-api answers: its own refusals are answers, a proxy's page is none", async () => {
    server.valid = () => true;
    await ask("/a");
    expect(client.reached).toBe(true);
    const told: boolean[] = [];
    client.subscribe(() => told.push(client.reached));
    for (const answer of [
      () => Promise.reject(new TypeError("network")),
      () => Promise.resolve(refused(503, "postgres-away")),
      () => Promise.resolve(new Response("<html>", { status: 502 })),
      () => Promise.resolve(Response.json({})),
    ]) {
      vi.stubGlobal("fetch", answer);
      await ask("/a").catch(() => undefined);
    }
    expect(told).toEqual([false, true, false, true]);
  });

  test("a sign-in that could not be renewed for want of an answer comes back", async () => {
    storage.set("keystone.signed-in", "1");
    server.refresh = () => Promise.reject(new TypeError("network"));
    await client.start();
    expect(client.who).toEqual({ phase: "out", expired: false });
    server.refresh = () => server.token();
    await client.start();
    expect(client.who.phase).toBe("in");
  });

  test("signing out everywhere is told to the server first", async () => {
    await client.login("ada@example.com", "x");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    await expect(client.logout(true)).rejects.toMatchObject({ code: "network" });
    expect(client.who.phase).toBe("in");
    vi.stubGlobal("fetch", (request: Request) => server.answer(request));
    await client.logout(true);
    expect(server.asked.at(-1)?.path).toBe("/api/v1/auth/logout?session=cookie&everywhere=1");
    expect(client.who.phase).toBe("out");
  });

  test("renews before the token ends", async () => {
    await client.login("ada@example.com", "x");
    now = 880_000;
    await ask("/a");
    expect(server.asked.map(({ path }) => path)).toEqual([
      "/api/v1/auth/login?session=cookie",
      "/api/v1/auth/refresh?session=cookie",
      "/api/a",
    ]);
  });

  test("a refused renewal signs out", async () => {
    await client.login("ada@example.com", "x");
    server.valid = () => false;
    server.refresh = () => refused(401, "refresh-reused");
    await expect(ask("/a")).rejects.toMatchObject({ code: "refresh-reused" });
    expect(client.who).toEqual({ phase: "out", expired: true });
    expect(storage.size).toBe(0);
  });

  test.each([
    ["no answer", () => Promise.reject(new TypeError("network"))],
    ["a store that is away", () => refused(503, "away")],
  ])("a renewal with %s keeps the user signed in", async (_, answer) => {
    await client.login("ada@example.com", "x");
    server.valid = () => false;
    server.refresh = answer;
    await expect(ask("/a")).rejects.toThrow();
    expect(client.who.phase).toBe("in");
    server.refresh = () => server.token();
    server.valid = () => true;
    await expect(ask("/b")).resolves.toEqual({ path: "/api/b" });
  });

  test("signing out ends it here even if the server is away", async () => {
    await client.login("ada@example.com", "x");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    await expect(client.logout()).rejects.toMatchObject({ code: "network" });
    expect(client.who.phase).toBe("out");
  });
});
