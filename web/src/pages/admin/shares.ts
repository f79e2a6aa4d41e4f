/** How streams are, and should be, spread over the nodes. Pure, so that a test reads it. */
import type { Node } from "../../api/types";

export interface Share {
  id: string;
  /** Of the ring, 0 to 1: by weight, among nodes that take streams. */
  due: number;
  /** Of the live streams, 0 to 1. */
  has: number;
  streams: number;
}

export const takes = (node: Node): boolean =>
  (node.state === "up" || node.state === "suspect") && !node.draining && !node.cordoned;

export function shares(nodes: readonly Node[]): Share[] {
  const weight = (node: Node): number => (takes(node) ? (node.weight ?? 1) : 0);
  const weights = nodes.reduce((sum, node) => sum + weight(node), 0);
  const streams = nodes.reduce((sum, node) => sum + node.streams, 0);
  return nodes.map((node) => ({
    id: node.id,
    due: weights === 0 ? 0 : weight(node) / weights,
    has: streams === 0 ? 0 : node.streams / streams,
    streams: node.streams,
  }));
}

export type Tone = "good" | "warn" | "bad" | "plain";

/** A node's state in one word, and how well that is. */
export function standing(node: Pick<Node, "state" | "draining" | "cordoned">): { word: string; tone: Tone } {
  if (node.state === "down") return { word: "Down", tone: "bad" };
  if (node.draining) return { word: "Draining", tone: "warn" };
  if (node.cordoned) return { word: "Cordoned", tone: "warn" };
  if (node.state === "suspect") return { word: "Suspect", tone: "warn" };
  if (node.state === "joining") return { word: "Joining", tone: "plain" };
  return { word: "Up", tone: "good" };
}

/** Sessions left by a drain, and how much of what there was is gone, 0 to 1. */
export function drained(left: number, most: number): number {
  return most <= 0 ? 1 : Math.max(0, Math.min(1, 1 - left / most));
}

export function sum(amounts: Record<string, number>): number {
  return Object.values(amounts).reduce((total, amount) => total + amount, 0);
}
