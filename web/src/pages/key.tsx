/** A stream key, shown this once, in the forms that encoders ask for. */
import type { JSX } from "preact";
import { ingest } from "../api/keystone";
import type { Stream } from "../api/types";
import { Copy } from "../ui/copy";
import { useLoad } from "../ui/load";
import { Refusal } from "../ui/notice";

interface Props {
  stream: Stream;
  streamKey: string;
  onDone: () => void;
}

export function NewKey({ stream, streamKey, onDone }: Props): JSX.Element {
  return (
    <div class="panel key" data-testid="new-key">
      <h2>Key of “{stream.title}”</h2>
      <p>Keep it now: it is not shown again. Whoever has it can publish on this stream.</p>
      <Copy label="Stream key" value={streamKey} secret />
      <Addresses id={stream.id} streamKey={streamKey} />
      <div class="actions">
        <a class="button primary" href={`/streams/${stream.id}/live`}>
          Go live from this browser
        </a>
        <button type="button" onClick={onDone}>
          I have kept it
        </button>
      </div>
    </div>
  );
}

/** Where encoders publish to. Without the key, `{key}` stands in its place. */
export function Addresses({ id, streamKey }: { id: string; streamKey?: string }): JSX.Element {
  const { value, problem } = useLoad(() => ingest(id), id);
  const filled = (text: string): string => (streamKey === undefined ? text : text.replaceAll("{key}", streamKey));
  return (
    <div class="addresses">
      <Refusal problem={problem} />
      {value && (
        <>
          <Copy label="WHIP (OBS, GStreamer, FFmpeg): server; the key is the bearer token" value={filled(value.whip)} />
          <Copy label="RTMP: server" value={filled(value.rtmp_server)} />
          <Copy label="RTMP: stream key" value={filled(value.rtmp_stream_key)} secret={streamKey !== undefined} />
          <Copy label="SRT: address" value={filled(value.srt)} secret={streamKey !== undefined} />
        </>
      )}
    </div>
  );
}
