/** Whether this window publishes, for the frame around the pages; who does so says it here (`pages/live/publisher.ts`). */
import { useStore } from "./store";

export interface OnAir {
  stream: string;
  phase: string;
  stop(): void;
}

let now: OnAir | undefined;
const listeners = new Set<() => void>();

export function setOnAir(next: OnAir | undefined): void {
  now = next;
  for (const listener of listeners) listener();
}

export function useOnAir(): OnAir | undefined {
  return useStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => now,
  );
}
