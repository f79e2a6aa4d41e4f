/** The edge-gateways and control-apis that are alive. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { controls as controlsQuery, edges as edgesQuery } from "../../api/queries";
import { Refusal } from "../../ui/notice";
import { State, Ticking, Waiting } from "../../ui/parts";
import { ago, count } from "../../ui/time";

export function Fleet(): JSX.Element {
  const edges = useQuery(edgesQuery);
  const controls = useQuery(controlsQuery);
  return (
    <div class="stack">
      <div class="panel">
        <h2>Edges</h2>
        <p class="soft">They take publishers and viewers and hand each stream to its node. Any number, all alike.</p>
        {edges.data === undefined &&
          (edges.error ? <Refusal problem={edges.error} /> : <Waiting rows={2} what="Loading edges" />)}
        {edges.data?.items.length === 0 && <p>No edge has been heard of in the last 10 s.</p>}
        <ul class="plain">
          {edges.data?.items.map(({ id, url, listen, version, load, state, seen_at_ms }) => (
            <li key={id} class="line wrap">
              <span class="name">
                <strong>{id}</strong> <span class="soft">{url || listen}</span>
              </span>
              <span class="soft grow">
                {count(load?.publishers ?? 0, "publisher")} · {count(load?.viewers ?? 0, "viewer")} ·{" "}
                {load?.requests_per_second ?? 0} requests/s · {version} · heard <Ticking text={() => ago(seen_at_ms)} />
              </span>
              <State is={state === "draining" ? "Leaving" : "Ready"} tone={state === "draining" ? "warn" : "good"} />
            </li>
          ))}
        </ul>
      </div>
      <div class="panel">
        <h2>Controls</h2>
        <p class="soft">They say who may do what and keep the table of sessions, each a whole copy.</p>
        {controls.data === undefined &&
          (controls.error ? <Refusal problem={controls.error} /> : <Waiting rows={2} what="Loading controls" />)}
        <ul class="plain">
          {controls.data?.items.map(({ id, url, version, seen_at_ms }) => (
            <li key={id} class="line wrap">
              <span class="name">
                <strong>{id}</strong> <span class="soft">{url}</span>
              </span>
              <span class="soft grow">
                {version} · heard <Ticking text={() => ago(seen_at_ms)} />
              </span>
              <State is="Ready" tone="good" />
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}
