import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Refusal } from "./notice";
import { useWork } from "./work";

/** A dialog over the page; the browser keeps the focus in it and gives it back. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose} onCancel={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

/** Asks before something that cannot be undone, does it, and says so when it was refused. */
export function Confirm({
  title,
  children,
  verb,
  act,
  onClose,
}: {
  title: string;
  children: ComponentChildren;
  verb: string;
  act: () => Promise<unknown>;
  onClose: () => void;
}): JSX.Element {
  const { busy, problem, run } = useWork();
  const go = async () => {
    if (await run(act)) onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="stack">{children}</div>
      <Refusal problem={problem} />
      <div class="actions end">
        <button type="button" onClick={onClose} disabled={busy}>
          Cancel
        </button>
        <button type="button" class="danger" onClick={() => void go()} disabled={busy}>
          {busy ? "One moment…" : verb}
        </button>
      </div>
    </Dialog>
  );
}
