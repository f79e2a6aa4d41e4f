/** `/streams`: the user's streams, and a form to make one. */
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { createStream, ownStreams } from "../api/keystone";
import type { NewStream, Visibility } from "../api/types";
import { Cards } from "../ui/cards";
import { useLoad } from "../ui/load";
import { Refusal } from "../ui/notice";
import { NewKey } from "./key";

const AGAIN_MS = 5000;

export function Streams(): JSX.Element {
  const { value, problem, reload } = useLoad(ownStreams, "own", AGAIN_MS);
  const [made, setMade] = useState<NewStream>();
  const shown = (stream: NewStream) => {
    setMade(stream);
    reload();
  };
  return (
    <section>
      <h1>My streams</h1>
      {made && <NewKey stream={made.stream} streamKey={made.stream_key} onDone={() => setMade(undefined)} />}
      <Refusal problem={problem} />
      {value && value.items.length > 0 && <Cards streams={value.items} href={({ id }) => `/streams/${id}`} />}
      {value && value.items.length === 0 && !made && <p class="empty">No stream yet. Make the first one below.</p>}
      <Create onMade={shown} />
    </section>
  );
}

const VISIBILITIES: [Visibility, string][] = [
  ["public", "Public: anybody, listed while live"],
  ["unlisted", "Unlisted: anybody who has the link"],
  ["private", "Private: you, and whom you give a token"],
];

function Create({ onMade }: { onMade: (stream: NewStream) => void }): JSX.Element {
  const [problem, setProblem] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  // One key for one intended stream: pressing again after a lost answer makes no second one.
  const intent = useRef<{ body: string; key: string } | undefined>(undefined);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const data = new FormData(form);
    const title = String(data.get("title") ?? "").trim();
    const visibility = String(data.get("visibility")) as Visibility;
    const body = `${visibility} ${title}`;
    if (intent.current?.body !== body) intent.current = { body, key: random() };
    setBusy(true);
    setProblem(undefined);
    try {
      onMade(await createStream(title, visibility, intent.current.key));
      intent.current = undefined;
      form.reset();
    } catch (refused) {
      setProblem(refused);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="panel" onSubmit={(event) => void submit(event)}>
      <h2>New stream</h2>
      <label>
        Title
        <input name="title" required maxLength={120} placeholder="Evening show" />
      </label>
      <label>
        Who may watch
        <select name="visibility">
          {VISIBILITIES.map(([value, label]) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <Refusal problem={problem} />
      <button type="submit" class="primary" disabled={busy}>
        Create
      </button>
    </form>
  );
}

/** 128 random bits; `randomUUID` is missing on plain http. */
function random(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
