import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Loaded<T> {
  value: T | undefined;
  problem: unknown;
  reload: () => void;
}

/** Loads at once, when `key` changes, and every `everyMs` while the page can be seen. An old value stays while a new one is fetched. */
export function useLoad<T>(load: () => Promise<T>, key: string, everyMs?: number): Loaded<T> {
  const [value, setValue] = useState<T>();
  const [problem, setProblem] = useState<unknown>();
  const latest = useRef(load);
  latest.current = load;
  const turn = useRef(0);
  // `key` says what is loaded, so a new one is a new load.
  const reload = useCallback(() => {
    const mine = ++turn.current;
    latest.current().then(
      (next) => {
        if (turn.current !== mine) return;
        setValue(() => next);
        setProblem(undefined);
      },
      (refused: unknown) => {
        if (turn.current === mine) setProblem(refused);
      },
    );
  }, [key]);
  useEffect(() => {
    reload();
    const timer = everyMs === undefined ? undefined : setInterval(() => document.hidden || reload(), everyMs);
    return () => {
      turn.current++;
      clearInterval(timer);
    };
  }, [reload, everyMs]);
  return { value, problem, reload };
}
