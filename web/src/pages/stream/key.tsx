/** A stream key just made: shown in this window, and never again. */
import type { JSX } from "preact";
import type { Stream } from "../../api/types";
import { Copy } from "../../ui/copy";
import { Icon } from "../../ui/icons";
import { useKey } from "./keys";

export function NewKey({ stream }: { stream: Stream }): JSX.Element | null {
  const key = useKey(stream.id);
  if (key === undefined) return null;
  return (
    <div class="panel key" data-testid="new-key">
      <h2>
        <Icon name="key" /> Stream key
      </h2>
      <p>
        Keep it now: once this window is closed or loaded again it is not shown any more. Whoever has it can publish on
        this stream. To go live from the browser you do not need it.
      </p>
      <Copy label="Stream key" value={key} secret />
      <p>
        <a href={`/streams/${stream.id}/encoder`}>Ready settings for OBS, ffmpeg, GStreamer and phones</a>
      </p>
    </div>
  );
}
