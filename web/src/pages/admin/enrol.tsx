/** `/admin/enrol`: a new media node, and what goes into its srs.conf. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, ok } from "../../api/keystone";
import { queries } from "../../api/queries";
import type { EnrolNode, NewNode } from "../../api/types";
import { useTitle } from "../../router";
import { Copy } from "../../ui/copy";
import { Note, Refusal } from "../../ui/notice";
import { Head } from "../../ui/parts";
import { useWork } from "../../ui/work";

/** What the form says, as the API takes it. Empty fields are absent. */
export function enrolment(form: FormData): EnrolNode {
  const text = (name: string): string => String(form.get(name) ?? "").trim();
  const optional = (name: string): Record<string, string> => (text(name) === "" ? {} : { [name]: text(name) });
  const number = (name: string): Record<string, number> => (text(name) === "" ? {} : { [name]: Number(text(name)) });
  const addresses = Object.assign({}, ...["http", "rtmp", "srt", "rtc"].map(optional));
  if (form.get("srt_encrypted") !== null) addresses.srt_encrypted = true;
  return {
    id: text("id"),
    weight: Number(text("weight") || "1"),
    ...optional("zone"),
    ...optional("hooks_to"),
    ...(text("api") === "" ? {} : { at: { api: text("api"), ...addresses } }),
    limits: { ...number("streams"), ...number("clients"), ...number("bandwidth_kbps") },
  };
}

export function Enrol(): JSX.Element {
  useTitle("Enrol a node");
  const [made, setMade] = useState<NewNode>();
  return (
    <section class="reading">
      <Head title="Enrol a node" back={{ href: "/admin", label: "Nodes" }} />
      {made ? <Made made={made} /> : <Form onMade={setMade} />}
    </section>
  );
}

function Made({ made }: { made: NewNode }): JSX.Element {
  return (
    <div class="panel">
      <Note tone="good">
        <p>
          <strong>{made.node.id} is enrolled.</strong> It joins as soon as its heartbeat arrives and its ports answer.
        </p>
      </Note>
      <p>Put these lines into its srs.conf and start SRS. They hold its secret and are shown this once.</p>
      <Copy label="srs.conf" value={made.srs_conf} secret block />
      <div class="actions">
        <a class="button primary" href={`/admin/nodes/${made.node.id}`}>
          Watch it join
        </a>
      </div>
    </div>
  );
}

function Form({ onMade }: { onMade: (made: NewNode) => void }): JSX.Element {
  const { busy, problem, run } = useWork();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const body = enrolment(new FormData(event.currentTarget as HTMLFormElement));
    return run(async () => {
      onMade(await ok(api.POST("/v1/nodes", { body })));
      void queries.invalidateQueries({ queryKey: ["nodes"] });
    });
  };
  return (
    <form class="panel" onSubmit={(event) => void submit(event)}>
      <label>
        Id <span class="hint">SRS's server_id; letters, digits, - and _</span>
        <input name="id" required maxLength={64} placeholder="node-9" />
      </label>
      <div class="columns">
        <label>
          HTTP API <span class="hint">host:port</span>
          <input name="api" placeholder="10.0.0.9:1985" />
        </label>
        <label>
          HTTP server
          <input name="http" placeholder="10.0.0.9:8080" />
        </label>
        <label>
          RTMP
          <input name="rtmp" placeholder="10.0.0.9:1935" />
        </label>
        <label>
          WebRTC (UDP)
          <input name="rtc" placeholder="10.0.0.9:8000" />
        </label>
        <label>
          SRT (UDP)
          <input name="srt" placeholder="10.0.0.9:10080" />
        </label>
        <label>
          SRT callers
          <span class="check">
            <input type="checkbox" name="srt_encrypted" /> its SRT port has a passphrase
          </span>
        </label>
        <label>
          Weight <span class="hint">its share of the streams</span>
          <input name="weight" type="number" min={1} max={100} defaultValue="1" />
        </label>
      </div>
      <p class="soft">
        Without addresses its heartbeat says where it is, if the cluster takes nodes from that network.
      </p>
      <details>
        <summary>Zone, limits, hooks</summary>
        <div class="columns">
          <label>
            Zone
            <input name="zone" maxLength={64} />
          </label>
          <label>
            Hooks go to <span class="hint">ip:port; this control-api when empty</span>
            <input name="hooks_to" />
          </label>
          <label>
            At most streams
            <input name="streams" type="number" min={1} />
          </label>
          <label>
            At most clients
            <input name="clients" type="number" min={1} />
          </label>
          <label>
            At most kbit/s
            <input name="bandwidth_kbps" type="number" min={1} />
          </label>
        </div>
      </details>
      <Refusal problem={problem} />
      <div class="actions">
        <button type="submit" class="primary" disabled={busy}>
          {busy ? "One moment…" : "Enrol"}
        </button>
      </div>
    </form>
  );
}
