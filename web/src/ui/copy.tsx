import type { JSX } from "preact";
import { useState } from "preact/hooks";

/** A text to take along, with a button that takes it. */
export function Copy({
  label,
  value,
  secret = false,
}: {
  label: string;
  value: string;
  secret?: boolean;
}): JSX.Element {
  const [taken, setTaken] = useState(false);
  const take = async () => {
    await navigator.clipboard?.writeText(value);
    setTaken(true);
    setTimeout(() => setTaken(false), 1500);
  };
  return (
    <div class="copy">
      <span class="label">{label}</span>
      <div class="row">
        <code class={secret ? "secret" : undefined}>{value}</code>
        {/* Clipboards exist on https and localhost only; elsewhere the text can be marked. */}
        {navigator.clipboard && (
          <button type="button" class="small" onClick={() => void take()} aria-label={`Copy ${label}`}>
            {taken ? "Copied" : "Copy"}
          </button>
        )}
      </div>
    </div>
  );
}
