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

  answer = async (path: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
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
    vi.stubGlobal("fetch", (path: string, init: RequestInit) => server.answer(path, init));
    const kept = {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, value: string) => void storage.set(key, value),
      removeItem: (key: string) => void storage.delete(key),
    };
    client = new Client("/api", kept, () => now);
  });

  test("asks no server whether a stranger is signed in", async () => {
    await client.start();
    expect(client.who).toEqual({ phase: "out" });
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
    await Promise.all(["/a", "/b", "/c"].map((path) => client.ask(path)));
    expect(server.count("/api/v1/auth/refresh")).toBe(1);
  });

  test("renews before the token ends", async () => {
    await client.login("ada@example.com", "x");
    now = 880_000;
    await client.ask("/a");
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
    await expect(client.ask("/a")).rejects.toMatchObject({ code: "refresh-reused" });
    expect(client.who.phase).toBe("out");
    expect(storage.size).toBe(0);
  });

  test.each([
    ["no answer", () => Promise.reject(new TypeError("network"))],
    ["a store that is away", () => refused(503, "away")],
  ])("a renewal with %s keeps the user signed in", async (_, answer) => {
    await client.login("ada@example.com", "x");
    server.valid = () => false;
    server.refresh = answer;
    await expect(client.ask("/a")).rejects.toThrow();
    expect(client.who.phase).toBe("in");
    server.refresh = () => server.token();
    server.valid = () => true;
    await expect(client.ask("/b")).resolves.toEqual({ path: "/api/b" });
  });

  test("signing out ends it here even if the server is away", async () => {
    await client.login("ada@example.com", "x");
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("network")));
    await expect(client.logout()).rejects.toMatchObject({ code: "network" });
    expect(client.who.phase).toBe("out");
  });
});
