/** Title, who may watch, a new key, and the end of a stream. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { api, ok } from "../../api/keystone";
import { queries } from "../../api/queries";
import type { Stream } from "../../api/types";
import { go } from "../../router";
import { Confirm } from "../../ui/dialog";
import { Note, Refusal } from "../../ui/notice";
import { day } from "../../ui/time";
import { fieldsOf, StreamFields } from "./fields";
import { NewKey } from "./key";
import { keepKey } from "./keys";

export function Settings({ stream }: { stream: Stream }): JSX.Element {
  return (
    <div class="stack">
      <Form stream={stream} />
      <Key stream={stream} />
      <Remove stream={stream} />
    </div>
  );
}

function changed(stream: string): void {
  void queries.invalidateQueries({ queryKey: ["stream", stream] });
  void queries.invalidateQueries({ queryKey: ["streams"] });
}

function Form({ stream }: { stream: Stream }): JSX.Element {
  const [problem, setProblem] = useState<unknown>();
  const [state, setState] = useState<"" | "busy" | "saved">("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const body = fieldsOf(event);
    setState("busy");
    setProblem(undefined);
    try {
      await api.PATCH("/v1/streams/{stream}", { params: { path: { stream: stream.id } }, body });
      changed(stream.id);
      setState("saved");
    } catch (refused) {
      setProblem(refused);
      setState("");
    }
  };
  return (
    <form class="panel" onSubmit={(event) => void submit(event)} onInput={() => setState("")}>
      <h2>Title and audience</h2>
      <StreamFields title={stream.title} visibility={stream.visibility} />
      <Refusal problem={problem} />
      <div class="actions">
        <button type="submit" class="primary" disabled={state === "busy"}>
          {state === "busy" ? "Saving…" : "Save"}
        </button>
        <span role="status" class="soft">
          {state === "saved" ? "Saved." : ""}
        </span>
      </div>
    </form>
  );
}

const OVERLAPS: [number, string][] = [
  [0, "At once: a publisher using it is ended"],
  [3_600, "In an hour"],
  [86_400, "In a day"],
  [604_800, "In a week"],
];

function Key({ stream }: { stream: Stream }): JSX.Element {
  const [overlap, setOverlap] = useState(3_600);
  const [until, setUntil] = useState<string>();
  const [asking, setAsking] = useState(false);
  const rotate = async () => {
    const params = { path: { stream: stream.id } };
    const made = await ok(api.POST("/v1/streams/{stream}:rotate-key", { params, body: { overlap_seconds: overlap } }));
    keepKey(stream.id, made.stream_key);
    setUntil(overlap > 0 ? made.previous_valid_until : undefined);
  };
  return (
    <div class="panel">
      <h2>Stream key</h2>
      <p class="soft">
        Encoders publish with it. It is stored as a hash, so a lost key cannot be shown again, only replaced.
      </p>
      <NewKey stream={stream} />
      {until !== undefined && <Note>The key before this one works until {day(until)}.</Note>}
      <div class="actions">
        <label class="inline">
          The old key ends
          <select value={String(overlap)} onChange={({ currentTarget }) => setOverlap(Number(currentTarget.value))}>
            {OVERLAPS.map(([value, label]) => (
              <option key={value} value={String(value)}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <button type="button" onClick={() => setAsking(true)}>
          Make a new key
        </button>
      </div>
      {asking && (
        <Confirm title="Make a new key?" verb="Make a new key" act={rotate} onClose={() => setAsking(false)}>
          <p>
            {overlap === 0
              ? "The old key stops working at once, and whoever publishes with it is ended."
              : "The old key goes on working for the chosen time, so that you can change your encoders without a break."}
          </p>
        </Confirm>
      )}
    </div>
  );
}

function Remove({ stream }: { stream: Stream }): JSX.Element {
  const [asking, setAsking] = useState(false);
  const remove = async () => {
    await api.DELETE("/v1/streams/{stream}", { params: { path: { stream: stream.id } } });
    void queries.invalidateQueries({ queryKey: ["streams"] });
    go("/streams");
  };
  return (
    <div class="panel edge-bad">
      <h2>Delete</h2>
      <p class="soft">
        Its address, keys, share links and history are gone for good. Who publishes or watches it is ended.
      </p>
      <div class="actions">
        <button type="button" class="danger" onClick={() => setAsking(true)}>
          Delete this stream
        </button>
      </div>
      {asking && (
        <Confirm
          title={`Delete “${stream.title}”?`}
          verb="Delete for good"
          act={remove}
          onClose={() => setAsking(false)}
        >
          <p>This cannot be undone.{stream.live ? " It is live now: everybody watching is ended." : ""}</p>
        </Confirm>
      )}
    </div>
  );
}
