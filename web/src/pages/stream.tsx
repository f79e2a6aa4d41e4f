/** `/streams/{stream}`: one of the user's streams. */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { deleteStream, stream as load, rotateKey } from "../api/keystone";
import { go } from "../router";
import { Lamp } from "../ui/cards";
import { Copy } from "../ui/copy";
import { useLoad } from "../ui/load";
import { Refusal } from "../ui/notice";
import { Addresses, NewKey } from "./key";

const AGAIN_MS = 5000;

export function StreamPage({ id }: { id: string }): JSX.Element {
  const { value: stream, problem } = useLoad(() => load(id), id, AGAIN_MS);
  const [key, setKey] = useState<string>();
  const [refused, setRefused] = useState<unknown>();
  const ask = async (question: string, act: () => Promise<void>) => {
    if (!confirm(question)) return;
    setRefused(undefined);
    await act().catch(setRefused);
  };
  const rotate = () =>
    ask("Make a new key? The old one stops working, and a publisher using it is ended.", async () =>
      setKey((await rotateKey(id)).stream_key),
    );
  const remove = () =>
    ask("Delete this stream for good?", async () => {
      await deleteStream(id);
      go("/streams");
    });
  return (
    <section>
      <p>
        <a href="/streams">← My streams</a>
      </p>
      <Refusal problem={problem} />
      {stream && (
        <>
          <h1>{stream.title}</h1>
          <p class="meta">
            <Lamp stream={stream} />
            {stream.visibility}
            {stream.live && ` · ${stream.live.viewers} watching · on ${stream.live.node}`}
          </p>
          <div class="actions">
            <a class="button primary" href={`/streams/${id}/live`}>
              Go live
            </a>
            <a class="button" href={`/watch/${id}`}>
              Watch
            </a>
            <button type="button" onClick={() => void rotate()}>
              New key
            </button>
            <button type="button" class="danger" onClick={() => void remove()}>
              Delete
            </button>
          </div>
          <Refusal problem={refused} />
          {key !== undefined && <NewKey stream={stream} streamKey={key} onDone={() => setKey(undefined)} />}
          <div class="panel">
            <h2>Share</h2>
            <Copy label="Page to watch" value={`${location.origin}/watch/${id}`} />
          </div>
          {key === undefined && (
            <div class="panel">
              <h2>Publish from an encoder</h2>
              <Addresses id={id} />
            </div>
          )}
        </>
      )}
    </section>
  );
}
