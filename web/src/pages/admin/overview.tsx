/** The media nodes at a glance. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { nodes as nodesQuery } from "../../api/queries";
import type { Node } from "../../api/types";
import { Chart } from "../../ui/charts";
import { Icon } from "../../ui/icons";
import { Refusal } from "../../ui/notice";
import { Bar, Empty, Figure, State, Ticking, Waiting } from "../../ui/parts";
import { ago, bitrate, count, span } from "../../ui/time";
import { useLoadSeen } from "./seen";
import { shares, standing } from "./shares";

export function Overview(): JSX.Element {
  const { data, error, refetch } = useQuery(nodesQuery);
  if (data === undefined)
    return error ? <Refusal problem={error} again={() => void refetch()} /> : <Waiting what="Loading the nodes" />;
  const nodes = data.items;
  if (nodes.length === 0) {
    return (
      <Empty icon="node" title="No media node yet">
        <p>A media node is one SRS process. Enrol one, and the lines for its srs.conf are here to paste.</p>
        <a class="button primary" href="/admin/enrol">
          Enrol a node
        </a>
      </Empty>
    );
  }
  const total = (of: (node: Node) => number): number => nodes.reduce((sum, node) => sum + of(node), 0);
  return (
    <div class="stack">
      <dl class="figures">
        <Figure label="Nodes up" value={`${nodes.filter(({ state }) => state === "up").length} of ${nodes.length}`} />
        <Figure label="Live streams" value={total(({ streams }) => streams)} />
        <Figure label="Sessions" value={total(({ sessions }) => sessions)} />
        <Figure label="Traffic of the nodes" value={bitrate(total(({ info }) => info?.bandwidth_kbps ?? 0))} />
      </dl>
      <div class="actions">
        <a class="button primary" href="/admin/enrol">
          <Icon name="plus" /> Enrol a node
        </a>
      </div>
      <ul class="nodes">
        {nodes.map((node) => (
          <li key={node.id}>
            <Card node={node} />
          </li>
        ))}
      </ul>
      <Ring nodes={nodes} />
      <Load nodes={nodes} />
    </div>
  );
}

function Card({ node }: { node: Node }): JSX.Element {
  const { word, tone } = standing(node);
  const cpu = node.info?.cpu ?? 0;
  return (
    <a class="panel node-card" href={`/admin/nodes/${node.id}`}>
      <span class="node-head">
        <strong>{node.id}</strong>
        <State is={word} tone={tone} />
      </span>
      <span class="soft">
        {node.info ? `SRS ${node.info.version}, up ${span(node.info.uptime_s ?? 0)}` : "Not heard of yet"}
        {node.zone ? ` · ${node.zone}` : ""}
      </span>
      <span class="node-figures">
        <span>{count(node.streams, "stream")}</span>
        <span>{count(node.sessions, "session")}</span>
        <span>{bitrate(node.info?.bandwidth_kbps ?? 0)}</span>
      </span>
      <Bar share={cpu} label={`CPU ${Math.round(cpu * 100)} %`} tone={cpu > 0.8 ? "bad" : ""} />
      <span class="soft">
        CPU {Math.round(cpu * 100)} %
        {node.info && <Ticking text={() => ` · heard ${ago(node.info?.seen_at_ms ?? 0)}`} />}
      </span>
      {node.warnings.length > 0 && (
        <span class="tag warn">{count(node.warnings.length, "known fault")} of its version</span>
      )}
    </a>
  );
}

/** Two bars: what each node should have by its weight, and what it has. */
function Ring({ nodes }: { nodes: Node[] }): JSX.Element {
  const all = shares(nodes);
  return (
    <div class="panel">
      <h2>Share of the ring</h2>
      <p class="soft">
        Above: by weight, among nodes that take streams. Below: the live streams. Live streams never move for balance.
      </p>
      <Stack parts={all.map(({ id, due }) => ({ id, part: due }))} label="Share by weight" />
      <Stack parts={all.map(({ id, has }) => ({ id, part: has }))} label="Share of the live streams" />
      <ul class="legends">
        {all.map(({ id, due, streams }, index) => (
          <li key={id} class={`legend chart-${(index % 6) + 1}`}>
            {id}: {Math.round(due * 100)} % due, {count(streams, "stream")}
          </li>
        ))}
      </ul>
    </div>
  );
}

function Stack({ parts, label }: { parts: { id: string; part: number }[]; label: string }): JSX.Element {
  let at = 0;
  const says = parts.map(({ id, part }) => `${id} ${Math.round(part * 100)} %`).join(", ");
  return (
    <svg
      class="share"
      viewBox="0 0 1000 1"
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label}: ${says}`}
      height="18"
    >
      <rect class="ground" width="1000" height="1" />
      {parts.map(({ id, part }, index) => {
        const from = at;
        at += part * 1000;
        return (
          <rect key={id} class={`chart-${(index % 6) + 1}`} x={from} width={Math.max(0, part * 1000 - 2)} height="1" />
        );
      })}
    </svg>
  );
}

/** What was seen since this page was opened: nobody keeps the nodes' load for longer. */
function Load({ nodes }: { nodes: Node[] }): JSX.Element {
  const seen = useLoadSeen(nodes);
  return (
    <div class="panel">
      <h2>Sessions and traffic</h2>
      {seen.length < 3 ? (
        <p class="soft">The chart grows while this page is open.</p>
      ) : (
        <Chart
          times={seen.map(({ at }) => at / 1000)}
          lines={[
            {
              label: "Sessions",
              colour: "--chart-1",
              values: seen.map(({ sessions }) => sessions),
              scale: "n",
              reads: String,
              filled: true,
            },
            {
              label: "Traffic",
              colour: "--chart-2",
              values: seen.map(({ kbps }) => kbps),
              scale: "kbps",
              reads: bitrate,
            },
          ]}
          says={`${count(seen.at(-1)?.sessions ?? 0, "session")}, ${bitrate(seen.at(-1)?.kbps ?? 0)} now`}
        />
      )}
    </div>
  );
}
