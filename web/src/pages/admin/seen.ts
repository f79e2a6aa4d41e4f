import { useEffect, useState } from "preact/hooks";
import type { Node } from "../../api/types";

/** Points kept: half an hour at one every 5 s. */
const KEPT_MAX = 360;
/** News may void the list more often than that, ms. */
const APART_MS = 2_000;

export interface Point {
  at: number;
  sessions: number;
  kbps: number;
}

/** Outlives the page, so that a look elsewhere loses nothing. */
let kept: readonly Point[] = [];

/** The nodes' load together, as seen each time they were read. */
export function useLoadSeen(nodes: readonly Node[]): readonly Point[] {
  const [seen, setSeen] = useState(kept);
  useEffect(() => {
    const at = Date.now();
    if (at - (kept.at(-1)?.at ?? 0) < APART_MS) return;
    const sessions = nodes.reduce((sum, node) => sum + node.sessions, 0);
    const kbps = nodes.reduce((sum, node) => sum + (node.info?.bandwidth_kbps ?? 0), 0);
    kept = [...kept, { at, sessions, kbps }].slice(-KEPT_MAX);
    setSeen(kept);
  }, [nodes]);
  return seen;
}
