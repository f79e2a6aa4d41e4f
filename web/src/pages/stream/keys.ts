/** Stream keys that were shown in this window, until it is closed. Kept in memory only: the server has nothing but their hashes. */
import { useStore } from "../../ui/store";

const keys = new Map<string, string>();
const listeners = new Set<() => void>();

export function keepKey(stream: string, key: string): void {
  keys.set(stream, key);
  for (const listener of listeners) listener();
}

export function useKey(stream: string): string | undefined {
  return useStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => keys.get(stream),
  );
}
