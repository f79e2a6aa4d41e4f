/** Share links of a private stream: play tokens with an end, each of which can be taken back. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, ok } from "../../api/keystone";
import { queries, tokens } from "../../api/queries";
import type { Stream, Token } from "../../api/types";
import { Copy } from "../../ui/copy";
import { Refusal } from "../../ui/notice";
import { State, Waiting, watchPath } from "../../ui/parts";
import { ago, day, span } from "../../ui/time";
import { useWork } from "../../ui/work";

const LIVES: [number, string][] = [
  [3_600, "An hour"],
  [86_400, "A day"],
  [604_800, "A week"],
  [2_592_000, "30 days"],
];
/** The page's own player makes tokens too; those are no links of anybody's. */
const LINK_SECONDS_MIN = 300;

export function ShareLinks({ stream }: { stream: Stream }): JSX.Element {
  const [seconds, setSeconds] = useState(86_400);
  const [link, setLink] = useState<string>();
  const { busy, problem, run } = useWork();
  const make = () =>
    run(async () => {
      const body = { action: "play" as const, ttl_seconds: seconds, single_use: false };
      const issued = await ok(
        api.POST("/v1/streams/{stream}/tokens", { params: { path: { stream: stream.id } }, body }),
      );
      setLink(`${location.origin}${watchPath(stream)}#token=${issued?.token}`);
      void queries.invalidateQueries({ queryKey: ["tokens", stream.id] });
    });
  return (
    <div class="stack">
      <p class="soft">
        This stream is private. Whoever has a share link can watch without an account, until the link ends or you take
        it back.
      </p>
      <div class="actions">
        <label class="inline">
          Good for
          <select value={String(seconds)} onChange={({ currentTarget }) => setSeconds(Number(currentTarget.value))}>
            {LIVES.map(([value, label]) => (
              <option key={value} value={String(value)}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <button type="button" class="primary" onClick={() => void make()} disabled={busy}>
          {busy ? "One moment…" : "Make a share link"}
        </button>
      </div>
      <Refusal problem={problem} />
      {link !== undefined && <Copy label="Share link" value={link} secret />}
      <Links stream={stream} />
    </div>
  );
}

/** Those that still let somebody in. */
export function open(all: readonly Token[], now: number): Token[] {
  const life = (token: Token) => (Date.parse(token.expires_at) - Date.parse(token.created_at)) / 1000;
  return all.filter(
    (token) =>
      token.action === "play" &&
      !token.revoked_at &&
      Date.parse(token.expires_at) > now &&
      life(token) >= LINK_SECONDS_MIN,
  );
}

function Links({ stream }: { stream: Stream }): JSX.Element | null {
  const { data, error } = useQuery(tokens(stream.id));
  const [problem, setProblem] = useState<unknown>();
  if (data === undefined) return error ? <Refusal problem={error} /> : <Waiting rows={1} what="Loading share links" />;
  const links = open(data.items, Date.now());
  if (links.length === 0) return null;
  const revoke = async (token: string) => {
    setProblem(undefined);
    await api
      .DELETE("/v1/streams/{stream}/tokens/{token}", { params: { path: { stream: stream.id, token } } })
      .catch(setProblem);
    await queries.invalidateQueries({ queryKey: ["tokens", stream.id] });
  };
  return (
    <>
      <h3>Links that work now</h3>
      <Refusal problem={problem} />
      <ul class="plain">
        {links.map((token) => (
          <li key={token.id} class="line">
            <span>
              Made {ago(token.created_at)}, ends {day(token.expires_at)}
            </span>
            <State is={`${span((Date.parse(token.expires_at) - Date.now()) / 1000)} left`} tone="plain" />
            <button type="button" class="small" onClick={() => void revoke(token.id)}>
              Take back
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}
