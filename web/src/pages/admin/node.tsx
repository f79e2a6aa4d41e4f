/** `/admin/nodes/{node}`: one media node, and taking it in and out. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { api, ok } from "../../api/keystone";
import { Problem } from "../../api/problem";
import { node as nodeQuery, queries, sessions as sessionsQuery } from "../../api/queries";
import type { Node } from "../../api/types";
import { go, useTitle } from "../../router";
import { Copy } from "../../ui/copy";
import { Confirm } from "../../ui/dialog";
import { Icon } from "../../ui/icons";
import { Note, Refusal } from "../../ui/notice";
import { Bar, Figure, Head, State, Waiting } from "../../ui/parts";
import { ago, bitrate, count, day, span } from "../../ui/time";
import { protocolName } from "../../ui/words";
import { useWork } from "../../ui/work";
import { SessionTable } from "../stream/viewers";
import { drained, standing, sum } from "./shares";

export function NodePage({ id }: { id: string }): JSX.Element {
  useTitle(id);
  const { data: node, error, refetch } = useQuery(nodeQuery(id));
  return (
    <section>
      <Head title={id} back={{ href: "/admin", label: "Nodes" }}>
        {node && <State is={standing(node).word} tone={standing(node).tone} />}
      </Head>
      {node === undefined &&
        (error ? <Refusal problem={error} again={() => void refetch()} /> : <Waiting what="Loading the node" />)}
      {node && (
        <div class="stack">
          <Draining node={node} />
          <Actions node={node} />
          <Facts node={node} />
          <Checks node={node} />
          <Carries id={id} />
        </div>
      )}
    </section>
  );
}

const renew = () => queries.invalidateQueries({ queryKey: ["nodes"] });

function Draining({ node }: { node: Node }): JSX.Element | null {
  const most = useRef(0);
  const drain = node.drain;
  if (!drain) {
    most.current = 0;
    return null;
  }
  const parts = [...Object.entries(drain.remaining.publish), ...Object.entries(drain.remaining.play)];
  const left = sum(drain.remaining.publish) + sum(drain.remaining.play);
  most.current = Math.max(most.current, left);
  const seconds = (drain.deadline_ms - Date.now()) / 1000;
  return (
    <div class="panel" data-testid="drain">
      <h2>{left === 0 ? "Drained" : "Draining"}</h2>
      <p>
        {left === 0
          ? "Nothing is left on this node. It can be stopped, updated or removed."
          : `${count(left, "session")} left. ${seconds > 0 ? `What is left in ${span(seconds)} is ended.` : "The deadline has passed: what is left is being ended."}`}
      </p>
      <Bar
        share={drained(left, most.current)}
        label={`${count(left, "session")} left`}
        tone={left === 0 ? "good" : ""}
      />
      {parts.length > 0 && (
        <p class="soft">{parts.map(([protocol, number]) => `${protocolName(protocol)} ${number}`).join(" · ")}</p>
      )}
    </div>
  );
}

const DEADLINES: [number, string][] = [
  [10, "10 seconds"],
  [60, "A minute"],
  [900, "15 minutes"],
  [3_600, "An hour"],
  [43_200, "12 hours"],
];

function Actions({ node }: { node: Node }): JSX.Element {
  const [asking, setAsking] = useState<"drain" | "remove" | "secret">();
  const { busy, problem, run } = useWork();
  const [deadline, setDeadline] = useState(900);
  const [conf, setConf] = useState<string>();
  const params = { path: { node: node.id } };
  const act = (work: () => Promise<unknown>) => run(() => work().finally(renew));
  const last = problem instanceof Problem && problem.code === "last-node";
  const out = node.draining || node.cordoned;
  return (
    <div class="panel">
      <h2>In and out</h2>
      <p class="soft">
        Cordoned, a node keeps its streams and takes no new ones. Drained, what is left at the deadline is ended and
        goes on elsewhere.
      </p>
      <div class="actions">
        {out ? (
          <button
            type="button"
            class="primary"
            disabled={busy}
            onClick={() => void act(() => api.POST("/v1/nodes/{node}:undrain", { params }))}
          >
            Take streams again
          </button>
        ) : (
          <button
            type="button"
            disabled={busy}
            onClick={() => void act(() => api.POST("/v1/nodes/{node}:cordon", { params }))}
          >
            Cordon
          </button>
        )}
        {!node.draining && (
          <button type="button" disabled={busy} onClick={() => setAsking("drain")}>
            Drain
          </button>
        )}
        <button type="button" disabled={busy} onClick={() => setAsking("secret")}>
          <Icon name="key" /> New secret
        </button>
        <button type="button" class="danger-quiet" disabled={busy} onClick={() => setAsking("remove")}>
          <Icon name="trash" /> Remove
        </button>
      </div>
      <Refusal problem={problem}>
        {last && (
          <button
            type="button"
            class="small danger"
            onClick={() =>
              void act(() => api.POST("/v1/nodes/{node}:cordon", { params: { ...params, query: { force: 1 } } }))
            }
          >
            Cordon it all the same
          </button>
        )}
      </Refusal>
      {conf !== undefined && (
        <>
          <Note tone="good">
            Paste these lines into its srs.conf in place of the old ones, and reload SRS. They are shown this once.
          </Note>
          <Copy label="srs.conf" value={conf} secret block />
        </>
      )}
      {asking === "drain" && (
        <Confirm
          title={`Drain ${node.id}?`}
          verb="Drain"
          act={async () => {
            await api.POST("/v1/nodes/{node}:drain", { params, body: { deadline_seconds: deadline } });
            await renew();
          }}
          onClose={() => setAsking(undefined)}
        >
          <p>It takes no new streams from now on. {count(node.sessions, "session is", "sessions are")} on it.</p>
          <label>
            What is left is ended after
            <select value={String(deadline)} onChange={({ currentTarget }) => setDeadline(Number(currentTarget.value))}>
              {DEADLINES.map(([seconds, label]) => (
                <option key={seconds} value={String(seconds)}>
                  {label}
                </option>
              ))}
            </select>
          </label>
        </Confirm>
      )}
      {asking === "secret" && (
        <Confirm
          title={`A new secret for ${node.id}?`}
          verb="Make a new secret"
          act={async () =>
            setConf((await ok(api.POST("/v1/nodes/{node}:rotate-secret", { params, body: {} }))).srs_conf)
          }
          onClose={() => setAsking(undefined)}
        >
          <p>The old one goes on working for a day.</p>
        </Confirm>
      )}
      {asking === "remove" && (
        <Confirm
          title={`Remove ${node.id}?`}
          verb="Remove"
          act={async () => {
            await api.DELETE("/v1/nodes/{node}", { params });
            await renew();
            go("/admin");
          }}
          onClose={() => setAsking(undefined)}
        >
          <p>
            Its secret stops working and it is forgotten. A node that still carries streams is refused: drain it first.
          </p>
        </Confirm>
      )}
    </div>
  );
}

function Facts({ node }: { node: Node }): JSX.Element {
  const { info, at, limits } = node;
  const rows: [string, string][] = [
    ["Version", info?.version ?? "not heard of yet"],
    ["Heard", info ? ago(info.seen_at_ms) : "never"],
    ["Up for", info ? span(info.uptime_s ?? 0) : "–"],
    ["Probed by", node.prober ?? "–"],
    ["Weight", String(node.weight ?? 1)],
    ["Zone", node.zone ?? "–"],
    ["API", at?.api ?? "as its heartbeat says"],
    ["RTMP · HTTP", [at?.rtmp, at?.http].filter(Boolean).join(" · ") || "–"],
    ["WebRTC · SRT", [at?.rtc, at?.srt].filter(Boolean).join(" · ") || "–"],
    [
      "Limits",
      [
        limits?.streams ? count(limits.streams, "stream") : "",
        limits?.clients ? count(limits.clients, "client") : "",
        limits?.bandwidth_kbps ? bitrate(limits.bandwidth_kbps) : "",
      ]
        .filter((text) => text !== "")
        .join(" · ") || "none",
    ],
    ["Enrolled", node.enrolled_at ? day(node.enrolled_at) : "–"],
  ];
  return (
    <div class="panel">
      <dl class="figures">
        <Figure label="Streams" value={node.streams} />
        <Figure label="Sessions" value={node.sessions} />
        <Figure label="Traffic" value={bitrate(info?.bandwidth_kbps ?? 0)} />
        <Figure label="CPU" value={`${Math.round((info?.cpu ?? 0) * 100)} %`} />
        <Figure label="Memory" value={`${Math.round((info?.memory_kib ?? 0) / 1024)} MiB`} />
      </dl>
      <dl class="facts">
        {rows.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
    </div>
  );
}

function Checks({ node }: { node: Node }): JSX.Element | null {
  const checks = node.checks ?? [];
  if (checks.length === 0 && node.warnings.length === 0) return null;
  return (
    <div class="panel">
      <h2>Checks</h2>
      <ul class="plain">
        {checks.map(({ check, ok: good, why }) => (
          <li key={check} class="line">
            <span>
              <strong>{check}</strong> {why && <span class="soft">{why}</span>}
            </span>
            <State is={good ? "As it should be" : "Not as it should be"} tone={good ? "good" : "bad"} />
          </li>
        ))}
        {node.warnings.map((warning) => (
          <li key={warning} class="line">
            <span>{warning}</span>
            <State is="Known fault" tone="warn" />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Carries({ id }: { id: string }): JSX.Element {
  const { data, error } = useQuery(sessionsQuery);
  const here = data?.items.filter((session) => session.node === id) ?? [];
  return (
    <div class="panel">
      <h2>Sessions on it</h2>
      <Refusal problem={data === undefined ? error : undefined} />
      {data && here.length === 0 && <p class="soft">None.</p>}
      {here.length > 0 && <SessionTable sessions={here} withStream />}
    </div>
  );
}
