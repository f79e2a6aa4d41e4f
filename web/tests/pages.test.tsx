import { QueryClientProvider } from "@tanstack/preact-query";
import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { queries } from "../src/api/queries";
import { App } from "../src/app";
import { after } from "../src/pages/account";
import { parse } from "../src/router";

test.each([
  ["/", { page: "directory" }],
  ["/signin", { page: "signin" }],
  ["/streams/", { page: "streams" }],
  ["/account", { page: "account" }],
  ["/reset", { page: "reset" }],
  ["/streams/cam1", { page: "stream", id: "cam1", tab: "overview" }],
  ["/streams/cam1/live", { page: "stream", id: "cam1", tab: "live" }],
  ["/streams/cam1/settings", { page: "stream", id: "cam1", tab: "settings" }],
  ["/admin", { page: "admin", tab: "overview" }],
  ["/admin/audit", { page: "admin", tab: "audit" }],
  ["/admin/enrol", { page: "admin-enrol" }],
  ["/admin/nodes/node-0.a", { page: "admin-node", id: "node-0.a" }],
  ["/admin/streams/cam1", { page: "admin-stream", id: "cam1" }],
  ["/admin/nodes/a%2Fb", { page: "lost" }],
  ["/admin/nothing", { page: "lost" }],
  ["/watch/cam_1-x", { page: "watch", id: "cam_1-x" }],
  ["/watch/", { page: "lost" }],
  ["/watch/a.b", { page: "lost" }],
  ["/watch/%3Cscript%3E", { page: "lost" }],
  [`/watch/${"a".repeat(65)}`, { page: "lost" }],
  ["/streams/cam1/live/more", { page: "lost" }],
  ["/nowhere", { page: "lost" }],
])("%s is %o", (path, route) => {
  expect(parse(path)).toEqual(route);
});

test.each([
  ["#/watch/cam1", "/watch/cam1"],
  ["", "/streams"],
  ["#//evil.example", "/streams"],
  ["#/\\evil.example", "/streams"],
  ["#https://evil.example", "/streams"],
])("after signing in at %j comes %s", (hash, path) => {
  expect(after(hash)).toBe(path);
});

let answers: Record<string, () => Response>;
beforeEach(() => {
  answers = {};
  localStorage.clear();
  queries.clear();
  vi.stubGlobal("fetch", async ({ method, url }: Request) => {
    const answer = answers[`${method} ${url.slice(location.origin.length)}`];
    if (!answer) throw new TypeError(`nothing at ${method} ${url}`);
    return answer();
  });
});
afterEach(cleanup);

const at = (path: string) => {
  history.replaceState(null, "", path);
  render(
    <QueryClientProvider client={queries}>
      <App />
    </QueryClientProvider>,
  );
};

test("the directory lists what is live, with what people wrote as text", async () => {
  const stream = {
    id: "cam1",
    title: "<b>Show</b>",
    visibility: "public",
    owner: "u",
    owner_name: "Ada",
    live: { viewers: 3, since: new Date().toISOString() },
  };
  answers["GET /api/v1/streams?limit=100"] = () => Response.json({ items: [stream] });
  at("/");
  const link = await screen.findByRole("link", { name: /<b>Show<\/b>/ });
  expect(link.getAttribute("href")).toBe("/watch/cam1");
  expect(link.textContent).toContain("3 viewers");
});

test("an unreachable server is said in words, at once", async () => {
  at("/");
  expect(await screen.findByText(/Keystone does not answer right now/)).toBeTruthy();
});

test("a page for operators is not shown to others", async () => {
  const { client } = await import("../src/api/keystone");
  answers["POST /api/v1/auth/login?session=cookie"] = () =>
    Response.json({
      access_token: "a",
      token_type: "Bearer",
      expires_in: 900,
      user: { id: "u", email: "a@b.c", display_name: "Ada", role: "user", created_at: "2026-01-01T00:00:00Z" },
    });
  await client.login("a@b.c", "x");
  at("/admin/users");
  expect(await screen.findByText(/for operators/)).toBeTruthy();
  expect(screen.queryByText("Cluster")).toBeNull();
  await client.logout().catch(() => undefined);
});

test("a wrong password is told at the form, which stays filled in", async () => {
  const { client } = await import("../src/api/keystone");
  await client.start();
  answers["POST /api/v1/auth/login?session=cookie"] = () =>
    Response.json({ code: "bad-login", detail: "e-mail or password is wrong" }, { status: 401 });
  at("/signin");
  const email = (await screen.findByLabelText("E-mail")) as HTMLInputElement;
  fireEvent.input(email, { target: { value: "ada@example.com" } });
  fireEvent.submit(email.form as HTMLFormElement);
  await waitFor(() => expect(screen.getByRole("alert").textContent).toContain("E-mail or password is wrong."));
  expect(email.value).toBe("ada@example.com");
});

test("where registration is closed nobody is sent to fill in a form", async () => {
  const { client } = await import("../src/api/keystone");
  await client.start();
  answers["GET /api/v1/auth/register"] = () => Response.json({ open: false });
  at("/register");
  await screen.findByText(/made by an operator/);
  expect(screen.queryByLabelText("E-mail")).toBeNull();
  await waitFor(() => expect(screen.queryByRole("link", { name: "Register" })).toBeNull());
});

test("own pages send a stranger to sign in, and back after", async () => {
  const { client } = await import("../src/api/keystone");
  await client.start();
  answers["POST /api/v1/auth/login?session=cookie"] = () =>
    Response.json({
      access_token: "a",
      token_type: "Bearer",
      expires_in: 900,
      user: { id: "u", email: "a@b.c", display_name: "Ada", role: "user" },
    });
  answers["GET /api/v1/streams?owner=me&limit=100"] = () => Response.json({ items: [] });
  at("/streams");
  const form = (await screen.findByLabelText("E-mail")) as HTMLInputElement;
  expect(location.pathname + location.hash).toBe("/signin#/streams");
  fireEvent.submit(form.form as HTMLFormElement);
  await screen.findByRole("heading", { name: "My streams" });
  expect(location.pathname).toBe("/streams");
});

test("a time that goes by is written anew, though nothing else changes", async () => {
  const { Since } = await import("../src/ui/parts");
  vi.useFakeTimers();
  try {
    render(<Since of={{ since: new Date(Date.now() - 50_000).toISOString() }} />);
    expect(screen.getByText("50 s ago")).toBeTruthy();
    await act(() => {
      vi.advanceTimersByTime(15_000);
    });
    expect(screen.getByText("1 min ago")).toBeTruthy();
  } finally {
    vi.useRealTimers();
  }
});
