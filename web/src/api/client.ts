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

export type Who =
  | { phase: "starting" }
  /** `expired`: somebody was signed in here until the server ended it. */
  | { phase: "out"; expired: boolean }
  | { phase: "in"; user: User };

interface Held {
  token: string;
  endsAt: number;
}

export class Client {
  #held: Held | undefined;
  #renewing: Promise<void> | undefined;
  #who: Who = { phase: "starting" };
  #reached = true;
  #listeners = new Set<() => void>();

  constructor(
    private readonly base: string,
    private readonly storage: Pick<Storage, "getItem" | "setItem" | "removeItem"> = localStorage,
    private readonly now: () => number = Date.now,
  ) {}

  get who(): Who {
    return this.#who;
  }

  /** Whether the last request was answered by control-api itself. */
  get reached(): boolean {
    return this.#reached;
  }

  /** Calls back whenever `who` or `reached` changes; the answer ends that. */
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Finds out whether the browser is still signed in. If nobody answers, it is not for now; asked again later, it may be. */
  async start(): Promise<void> {
    if (this.storage.getItem(HINT) === null) return this.#become({ phase: "out", expired: false });
    await this.#renew().catch(() => this.#who.phase === "starting" && this.#become({ phase: "out", expired: false }));
  }

  async login(email: string, password: string): Promise<void> {
    const answer = await this.#post("/v1/auth/login?session=cookie", { email, password }, COOKIE_FORM);
    this.#signedIn((await answer.json()) as AccessToken);
  }

  async register(email: string, password: string, displayName: string): Promise<void> {
    const name = displayName === "" ? {} : { display_name: displayName };
    await this.#post("/v1/auth/register", { email, password, ...name }, {});
    await this.login(email, password);
  }

  /** Ends the sign-in, or all of the account's. Here at once; at the server as soon as it hears of it. */
  async logout(everywhere = false): Promise<void> {
    const headers = { ...COOKIE_FORM, ...this.#bearer() };
    const path = `${this.base}/v1/auth/logout?session=cookie${everywhere ? "&everywhere=1" : ""}`;
    // Of a sign-out everywhere the user must know whether it worked.
    if (!everywhere) this.#signedOut(false);
    await this.#send(new Request(absolute(path), { method: "POST", headers }));
    this.#signedOut(false);
  }

  /** One request, with the user's token if somebody is signed in. Throws a {@link Problem} unless it succeeds. */
  fetch = async (request: Request): Promise<Response> => {
    if (this.#held && this.#held.endsAt - EARLY_MS <= this.now()) await this.#renew();
    const again = request.clone();
    try {
      return await this.#send(this.#dressed(request));
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 401 || !this.#held) throw problem;
      await this.#renew();
      return this.#send(this.#dressed(again));
    }
  };

  #post(path: string, body: object, headers: Record<string, string>): Promise<Response> {
    const init = {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify(body),
    };
    return this.#send(new Request(absolute(this.base + path), init));
  }

  async #send(request: Request): Promise<Response> {
    let answer: Response;
    try {
      answer = await fetch(request, { credentials: "same-origin", cache: "no-store" });
    } catch (cause) {
      if (request.signal.aborted) throw cause;
      this.#reach(false);
      throw networkProblem();
    }
    if (answer.ok) {
      this.#reach(true);
      return answer;
    }
    const problem = await problemOf(answer);
    // A proxy's own page in place of an answer: nobody is behind it.
    this.#reach(!(problem.status >= 502 && problem.code === `http-${problem.status}`));
    throw problem;
  }

  /** A refused renewal signs out; one that was not answered leaves the old token for another try. */
  #renew(): Promise<void> {
    const path = absolute(`${this.base}/v1/auth/refresh?session=cookie`);
    this.#renewing ??= this.#send(new Request(path, { method: "POST", headers: COOKIE_FORM }))
      .then(async (answer) => this.#signedIn((await answer.json()) as AccessToken))
      .catch((problem: unknown) => {
        if (problem instanceof Problem && problem.status >= 400 && problem.status < 500 && problem.status !== 429)
          this.#signedOut(true);
        throw problem;
      })
      .finally(() => {
        this.#renewing = undefined;
      });
    return this.#renewing;
  }

  #dressed(request: Request): Request {
    for (const [name, value] of Object.entries(this.#bearer())) request.headers.set(name, value);
    return request;
  }

  #bearer(): Record<string, string> {
    return this.#held ? { Authorization: `Bearer ${this.#held.token}` } : {};
  }

  #signedIn({ access_token, expires_in, user }: AccessToken): void {
    this.#held = { token: access_token, endsAt: this.now() + expires_in * 1000 };
    this.storage.setItem(HINT, "1");
    this.#become({ phase: "in", user });
  }

  #signedOut(expired: boolean): void {
    this.#held = undefined;
    this.storage.removeItem(HINT);
    this.#become({ phase: "out", expired });
  }

  #become(who: Who): void {
    this.#who = who;
    this.#tell();
  }

  #reach(reached: boolean): void {
    if (this.#reached === reached) return;
    this.#reached = reached;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** `Request` takes no path alone everywhere. */
function absolute(path: string): string {
  return new URL(path, location.href).href;
}
