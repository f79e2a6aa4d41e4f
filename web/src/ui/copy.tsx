import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Icon } from "./icons";

/** A text to take along, with a button that takes it. */
export function Copy({
  label,
  value,
  secret = false,
  block = false,
}: {
  label: string;
  value: string;
  secret?: boolean;
  /** Several lines. */
  block?: boolean;
}): JSX.Element {
  const [taken, setTaken] = useState<"" | "taken" | "failed">("");
  const take = async () => {
    setTaken(
      await put(value).then(
        () => "taken" as const,
        () => "failed" as const,
      ),
    );
    setTimeout(() => setTaken(""), 2000);
  };
  const code = <code class={secret ? "secret" : undefined}>{value}</code>;
  return (
    <div class={block ? "copy block" : "copy"}>
      <span class="label">{label}</span>
      <div class="copy-row">
        {/* A long line scrolls, which a keyboard must be able to do too. */}
        {block ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
          <pre tabIndex={0}>{code}</pre>
        ) : (
          code
        )}
        <button type="button" class="small quiet" onClick={() => void take()} aria-label={`Copy ${label}`}>
          <Icon name={taken === "taken" ? "check" : "copy"} />
          <span aria-live="polite">
            {taken === "taken" ? "Copied" : taken === "failed" ? "Mark it and copy" : "Copy"}
          </span>
        </button>
      </div>
    </div>
  );
}

/** Clipboards exist on https and localhost only; elsewhere the old way works. */
async function put(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not copied");
}
