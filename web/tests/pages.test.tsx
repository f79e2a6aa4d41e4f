import { cleanup, fireEvent, render, screen, waitFor } from "@testing-library/preact";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { App } from "../src/app";
import { parse } from "../src/router";

test.each([
  ["/", { page: "directory" }],
  ["/signin", { page: "signin" }],
  ["/streams/", { page: "streams" }],
  ["/streams/cam1", { page: "stream", id: "cam1" }],
  ["/streams/cam1/live", { page: "golive", id: "cam1" }],
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

let answers: Record<string, () => Response>;
beforeEach(() => {
  answers = {};
  localStorage.clear();
  vi.stubGlobal("fetch", async (path: string, init: RequestInit) => {
    const answer = answers[`${init.method ?? "GET"} ${path}`];
    if (!answer) throw new TypeError(`nothing at ${init.method} ${path}`);
    return answer();
  });
});
afterEach(cleanup);

const at = (path: string) => {
  history.replaceState(null, "", path);
  render(<App />);
};

test("the directory lists what is live, with what people wrote as text", async () => {
  const stream = {
    id: "cam1",
    title: "<b>Show</b>",
    visibility: "public",
    owner: "u",
    owner_name: "Ada",
    live: { viewers: 3 },
  };
  answers["GET /api/v1/streams?limit=100"] = () => Response.json({ items: [stream] });
  at("/");
  const link = await screen.findByRole("link", { name: /<b>Show<\/b>/ });
  expect(link.getAttribute("href")).toBe("/watch/cam1");
  expect(link.textContent).toContain("3 watching");
});

test("an unreachable server is said in words", async () => {
  at("/");
  expect((await screen.findByRole("alert")).textContent).toContain("cannot be reached");
});

test("a wrong password is told at the form, which stays filled in", async () => {
  const { client } = await import("../src/api/keystone");
  await client.start();
  answers["POST /api/v1/auth/login?session=cookie"] = () =>
    Response.json({ code: "bad-login", detail: "e-mail or password is wrong" }, { status: 401 });
  at("/signin");
  const email = screen.getByLabelText("E-mail") as HTMLInputElement;
  fireEvent.input(email, { target: { value: "ada@example.com" } });
  fireEvent.submit(email.form as HTMLFormElement);
  await waitFor(() => expect(screen.getByRole("alert").textContent).toBe("E-mail or password is wrong."));
  expect(email.value).toBe("ada@example.com");
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
  answers["GET /api/v1/streams?owner=me&limit=200"] = () => Response.json({ items: [] });
  at("/streams");
  const form = (await screen.findByLabelText("E-mail")) as HTMLInputElement;
  expect(location.pathname + location.hash).toBe("/signin#/streams");
  fireEvent.submit(form.form as HTMLFormElement);
  await screen.findByRole("heading", { name: "My streams" });
  expect(location.pathname).toBe("/streams");
});
