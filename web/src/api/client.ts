/**
 * One caller of control-api. The access token lives here, in memory only; the refresh token is a cookie that no script can read.
 * Before it ends, or when a request is answered 401, the token is renewed once, however many requests wait for it.
 */
import { networkProblem, Problem, problemOf } from "./problem";
import type { AccessToken, User } from "./types";

/** Renew this long before the token ends, so that no request meets its end on the way. */
const EARLY_MS = 30_000;
/** Says that a cookie is worth trying; holds no secret. */
const HINT = "keystone.signed-in";
/** What makes a cookie request ours: a form on another site cannot send it. */
const COOKIE_FORM = { "X-Keystone": "1" };

export interface Ask {
  method?: string;
  body?: unknown;
  /** Sent once even if the request is repeated after a lost answer. */
  idempotencyKey?: string;
}

export type Who = { phase: "starting" } | { phase: "out" } | { phase: "in"; user: User };

interface Held {
  token: string;
  endsAt: number;
}

export class Client {
  #held: Held | undefined;
  #renewing: Promise<void> | undefined;
  #who: Who = { phase: "starting" };
  #listeners = new Set<() => void>();

  constructor(
    private readonly base: string,
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> = localStorage,
    private readonly now: () => number = Date.now,
  ) {}

  get who(): Who {
    return this.#who;
  }

  /** Calls back whenever `who` changes; the answer ends that. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Finds out whether the browser is still signed in. */
  async start(): Promise<void> {
    if (this.storage.getItem(HINT) === null) return this.#signedOut();
    await this.#renew().catch(() => this.#become({ phase: "out" }));
  }

  async login(email: string, password: string): Promise<void> {
    const answer = await this.#send("/v1/auth/login?session=cookie", {
      method: "POST",
      headers: { ...COOKIE_FORM, "Content-Type": "application/json" },
      body: JSON.stringify({ email, password }),
    });
    this.#signedIn((await answer.json()) as AccessToken);
  }

  async register(email: string, password: string, displayName: string): Promise<void> {
    const body = { email, password, ...(displayName === "" ? {} : { display_name: displayName }) };
    await this.#send("/v1/auth/register", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    await this.login(email, password);
  }

  /** Ends the sign-in. Here at once; at the server as soon as it hears of it. */
  async logout(): Promise<void> {
    const headers = { ...COOKIE_FORM, ...this.#bearer() };
    this.#signedOut();
    await this.#send("/v1/auth/logout?session=cookie", { method: "POST", headers });
  }

  /** One request, with the user's token if somebody is signed in. */
  async ask<T>(path: string, { method = "GET", body, idempotencyKey }: Ask = {}): Promise<T> {
    const init = (): RequestInit => ({
      method,
      headers: {
        ...this.#bearer(),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (this.#held && this.#held.endsAt - EARLY_MS <= this.now()) await this.#renew();
    let answer: Response;
    try {
      answer = await this.#send(path, init());
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 401 || !this.#held) throw problem;
      await this.#renew();
      answer = await this.#send(path, init());
    }
    return (answer.status === 204 ? undefined : await answer.json()) as T;
  }

  async #send(path: string, init: RequestInit): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(this.base + path, { credentials: "same-origin", cache: "no-store", ...init });
    } catch {
      throw networkProblem();
    }
    if (!answer.ok) throw await problemOf(answer);
    return answer;
  }

  /** A refused renewal signs out; one that was not answered leaves the old token for another try. */
  #renew(): Promise<void> {
    this.#renewing ??= this.#send("/v1/auth/refresh?session=cookie", { method: "POST", headers: COOKIE_FORM })
      .then(async (answer) => this.#signedIn((await answer.json()) as AccessToken))
      .catch((problem: unknown) => {
        if (problem instanceof Problem && problem.status >= 400 && problem.status < 500 && problem.status !== 429)
          this.#signedOut();
        throw problem;
      })
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing;
  }

  #bearer(): Record<string, string> {
    return this.#held ? { Authorization: `Bearer ${this.#held.token}` } : {};
  }

  #signedIn({ access_token, expires_in, user }: AccessToken): void {
    this.#held = { token: access_token, endsAt: this.now() + expires_in * 1000 };
    this.storage.setItem(HINT, "1");
    this.#become({ phase: "in", user });
  }

  #signedOut(): void {
    this.#held = undefined;
    this.storage.removeItem(HINT);
    this.#become({ phase: "out" });
  }

  #become(who: Who): void {
    this.#who = who;
    for (const listener of this.#listeners) listener();
  }
}
