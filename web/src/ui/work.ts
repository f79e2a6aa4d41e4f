/** Something that a page does on request: whether it is under way, and why it was refused. */
import { useState } from "preact/hooks";

export interface Work {
  busy: boolean;
  /** The last refusal, until the next try. */
  problem: unknown;
  /** Does it; true when it succeeded. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
}

export function useWork(): Work {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<unknown>();
  const run = async (work: () => Promise<unknown>): Promise<boolean> => {
    setBusy(true);
    setProblem(undefined);
    try {
      await work();
      return true;
    } catch (refused) {
      setProblem(refused);
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, problem, run };
}
