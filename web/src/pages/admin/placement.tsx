/** `/admin/streams/{stream}`: where a stream is or would go, and how every node stands towards it. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useWho } from "../../api/keystone";
import { route as routeQuery, stream as streamQuery, viewers } from "../../api/queries";
import type { RouteNode } from "../../api/types";
import { useTitle } from "../../router";
import { Refusal } from "../../ui/notice";
import { Bar, Figure, Head, Lamp, State, Waiting, watchPath } from "../../ui/parts";
import { bitrate, count, span } from "../../ui/time";
import { Timeline } from "../../ui/timeline";
import { protocolName } from "../../ui/words";
import { SessionTable } from "../stream/viewers";
import { standing } from "./shares";

export function Placement({ id }: { id: string }): JSX.Element {
  const who = useWho();
  const { data: stream } = useQuery(streamQuery(id, who.phase === "in" ? who.user.id : ""));
  const { data: route, error, refetch } = useQuery(routeQuery(id));
  const { data: sessions } = useQuery(viewers(id));
  useTitle(stream?.title);
  const here = route?.placement;
  return (
    <section>
      <Head title={stream?.title ?? id} back={{ href: "/admin/streams", label: "Streams" }}>
        <Lamp on={Boolean(here)} />
        <a class="button" href={watchPath({ id })}>
          Watch
        </a>
        <a class="button" href={`/streams/${id}`}>
          Manage
        </a>
      </Head>
      {route === undefined &&
        (error ? (
          <Refusal problem={error} again={() => void refetch()} />
        ) : (
          <Waiting what="Asking for its placement" />
        ))}
      {route && (
        <div class="stack">
          <div class="panel">
            <h2>Placement</h2>
            {route.why && <p>{route.why.charAt(0).toUpperCase() + route.why.slice(1)}.</p>}
            {route.refusal && <p class="bad-text">{route.refusal}</p>}
            <dl class="figures">
              <Figure label="On node" value={here?.node ?? "nowhere"} />
              <Figure label="Would go to" value={route.choice ?? "no node"} />
              <Figure label="Epoch" value={here?.epoch ?? "–"} />
              <Figure label="Published by" value={here ? protocolName(here.protocol) : "–"} />
              <Figure label="For" value={here ? span(here.age_ms / 1000) : "–"} />
              <Figure
                label="Bound"
                value={route.bound_percent == null ? "–" : `${route.bound_percent} % of the mean`}
              />
            </dl>
            <Nodes nodes={route.nodes ?? []} />
          </div>
          {sessions && sessions.items.length > 0 && (
            <>
              <Timeline sessions={sessions.items} />
              <div class="panel">
                <h2>Sessions</h2>
                <SessionTable sessions={sessions.items} />
              </div>
            </>
          )}
        </div>
      )}
    </section>
  );
}

const VERDICTS = {
  chosen: { word: "Chosen", tone: "good" },
  candidate: { word: "Next in turn", tone: "plain" },
  passed_over: { word: "Passed over", tone: "warn" },
} as const;

function Nodes({ nodes }: { nodes: RouteNode[] }): JSX.Element {
  return (
    <ol class="ring">
      {nodes.map((node) => {
        const { word, tone } = standing({ state: node.state, draining: node.draining, cordoned: false });
        const verdict = VERDICTS[node.verdict];
        return (
          <li key={node.node}>
            <span class="order">{node.order}</span>
            <span class="ring-text">
              <span class="node-head">
                <a href={`/admin/nodes/${node.node}`}>
                  <strong>{node.node}</strong>
                </a>
                {node.home && <State is="The stream is here" tone="good" />}
                <State is={verdict.word} tone={verdict.tone} />
                {tone !== "good" && <State is={word} tone={tone} />}
              </span>
              <span class="soft">
                {count(node.streams, "other stream")}
                {node.bound == null ? "" : ` of at most ${node.bound}`} · {count(node.clients, "client")} ·{" "}
                {bitrate(node.kbps)} · weight {node.weight}
              </span>
              {node.bound != null && (
                <Bar
                  share={node.streams / Math.max(1, node.bound)}
                  label={`${node.streams} of ${node.bound} streams, this one not counted`}
                />
              )}
              {node.why && <span>{node.why}</span>}
            </span>
          </li>
        );
      })}
    </ol>
  );
}
