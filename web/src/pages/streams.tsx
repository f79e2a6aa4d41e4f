/** `/streams`: the user's streams, and a dialog to make one. */
import { useInfiniteQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { api, ok } from "../api/keystone";
import { ownStreams, queries } from "../api/queries";
import type { NewStream, Stream } from "../api/types";
import { go, useTitle } from "../router";
import { Dialog } from "../ui/dialog";
import { Icon } from "../ui/icons";
import { Refusal } from "../ui/notice";
import { Empty, Head, Lamp, More, VisibilityTag, Waiting } from "../ui/parts";
import { Picture } from "../ui/picture";
import { count } from "../ui/time";
import { useWork } from "../ui/work";
import { fieldsOf, StreamFields } from "./stream/fields";
import { keepKey } from "./stream/keys";

export function Streams(): JSX.Element {
  useTitle("My streams");
  const query = useInfiniteQuery(ownStreams);
  const [making, setMaking] = useState(false);
  const streams = query.data?.pages.flatMap((page) => page.items) ?? [];
  const none = query.data !== undefined && streams.length === 0;
  const made = ({ stream, stream_key }: NewStream) => {
    keepKey(stream.id, stream_key);
    void queries.invalidateQueries({ queryKey: ["streams"] });
    go(`/streams/${stream.id}`);
  };
  return (
    <section>
      <Head title="My streams">
        {!none && (
          <button type="button" class="primary" onClick={() => setMaking(true)}>
            <Icon name="plus" /> New stream
          </button>
        )}
      </Head>
      {query.data === undefined && <Refusal problem={query.error} again={() => void query.refetch()} />}
      {query.data === undefined && query.error === null && <Waiting rows={3} what="Loading your streams" />}
      {none && (
        <Empty icon="camera" title="No stream yet">
          <p>
            A stream is an address people watch. Make one, then go live from this browser, or from OBS, ffmpeg or a
            phone.
          </p>
          <button type="button" class="primary" onClick={() => setMaking(true)}>
            Make your first stream
          </button>
        </Empty>
      )}
      <ul class="rows">
        {streams.map((stream) => (
          <li key={stream.id}>
            <Row stream={stream} />
          </li>
        ))}
      </ul>
      <More query={query} />
      {making && <Create onMade={made} onClose={() => setMaking(false)} />}
    </section>
  );
}

function Row({ stream }: { stream: Stream }): JSX.Element {
  return (
    <a class="row" href={`/streams/${stream.id}`}>
      <span class="row-picture">
        {stream.live && stream.visibility !== "private" ? (
          <Picture id={stream.id} title={stream.title} />
        ) : (
          <span class="picture none hue-off" aria-hidden="true">
            <Icon name="camera" />
          </span>
        )}
      </span>
      <span class="row-text">
        <span class="title">{stream.title}</span>
        <span class="meta">
          <Lamp on={Boolean(stream.live)} />
          <VisibilityTag of={stream.visibility} />
          {stream.live && <span class="soft">{count(stream.live.viewers, "viewer")}</span>}
        </span>
      </span>
    </a>
  );
}

function Create({ onMade, onClose }: { onMade: (stream: NewStream) => void; onClose: () => void }): JSX.Element {
  const { busy, problem, run } = useWork();
  // One key for one intended stream: pressing again after a lost answer makes no second one.
  const intent = useRef<{ body: string; key: string } | undefined>(undefined);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const { title, visibility } = fieldsOf(event);
    const body = `${visibility} ${title}`;
    if (intent.current?.body !== body) intent.current = { body, key: random() };
    const headers = { "Idempotency-Key": intent.current.key };
    return run(async () =>
      onMade(await ok(api.POST("/v1/streams", { params: { header: headers }, body: { title, visibility } }))),
    );
  };
  return (
    <Dialog title="New stream" onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <StreamFields visibility="public" placeholder="Evening show" />
        <Refusal problem={problem} />
        <div class="actions end">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy}>
            {busy ? "One moment…" : "Create"}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** 128 random bits; `randomUUID` is missing on plain http. */
function random(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
