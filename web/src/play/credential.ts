import { tokenFor } from "../api/keystone";
import { Problem } from "../api/problem";
import type { Stream } from "../api/types";
import { givenToken } from "./given";
import type { Way } from "./use-player";

/** The link's token; else one of the user's own for a private stream; else none, which is enough for the others. */
export async function credential(
  id: string,
  me: string | undefined,
  way: Way,
  load: () => Promise<Stream>,
): Promise<string | undefined> {
  const given = givenToken();
  if (given !== undefined || me === undefined) return given;
  try {
    const stream = await load();
    if (stream.visibility !== "private" || stream.owner !== me) return undefined;
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return undefined;
    throw problem;
  }
  return tokenFor(id, "play", way === "hls");
}
