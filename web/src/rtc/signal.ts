/**
 * One WHIP or WHEP session: RFC 9725 and draft-ietf-wish-whep-04, client side. The offer goes out at once, before candidates are gathered;
 * they follow by PATCH, which a server may refuse without harm.
 */
import { networkProblem, Problem, problemOf } from "../api/problem";
import { fragment, type Local } from "./fragment";

/** Candidates found within this time go out together. */
const TRICKLE_MS = 100;
/** A server that has not answered the offer by then will not. */
const ANSWER_MS = 10_000;

export interface Opened {
  /** Ends the session; safe to call twice. `leaving` when the page goes away. */
  close(leaving?: boolean): Promise<void>;
}

/**
 * Offers what `pc` has, takes the answer, and keeps telling of candidates.
 * Throws a {@link Problem}; then no session is left behind, and `pc` is still the caller's to close.
 */
export async function open(pc: RTCPeerConnection, endpoint: string, token?: string): Promise<Opened> {
  const found: RTCIceCandidate[] = [];
  let tell: (() => void) | undefined;
  pc.addEventListener("icecandidate", ({ candidate }) => {
    if (candidate && candidate.candidate !== "") found.push(candidate);
    tell?.();
  });
  await pc.setLocalDescription();
  const offer = pc.localDescription?.sdp ?? "";
  const auth: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const answer = await send(endpoint, {
    method: "POST",
    headers: { ...auth, "Content-Type": "application/sdp" },
    body: offer,
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const place = answer.headers.get("location");
  // Relative to the URL that answered, which after a redirect is not the one asked.
  const session = place === null ? undefined : new URL(place, answer.url || new URL(endpoint, document.baseURI)).href;

  let closed: Promise<void> | undefined;
  const close = (leaving = false): Promise<void> => {
    closed ??= session === undefined ? Promise.resolve() : end(session, auth, leaving);
    return closed;
  };
  try {
    await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  } catch (cause) {
    await close();
    throw new Problem(0, "bad-answer", `The server's answer was not understood by this browser (${String(cause)}).`);
  }
  if (session !== undefined) tell = trickler(pc, session, auth, answer.headers.get("etag"), found);
  tell?.();
  return { close };
}

/** Answers the function to call whenever there may be something new to tell. */
function trickler(
  pc: RTCPeerConnection,
  session: string,
  auth: Record<string, string>,
  etag: string | null,
  found: RTCIceCandidate[],
): () => void {
  let due = false;
  let told = 0;
  let over = false;
  const patch = async (): Promise<void> => {
    due = false;
    const complete = pc.iceGatheringState === "complete";
    if (over || pc.signalingState === "closed" || (told === found.length && !complete)) return;
    const local: Local = {
      sdp: pc.localDescription?.sdp ?? "",
      candidates: found.slice(told).map((c) => c.candidate),
      complete,
    };
    told = found.length;
    over = complete;
    try {
      await send(session, {
        method: "PATCH",
        headers: { ...auth, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag ?? "*" },
        body: fragment(local),
      });
    } catch {
      // A server that wants no candidates reaches us by the connectivity checks we send.
      over = true;
    }
  };
  return () => {
    if (!due) setTimeout(() => void patch(), TRICKLE_MS);
    due = true;
  };
}

/** Ends the session. One that is gone already is ended, and of one that cannot be reached the media server hears by silence. */
async function end(session: string, auth: Record<string, string>, leaving: boolean): Promise<void> {
  await send(session, { method: "DELETE", headers: auth, keepalive: leaving }).catch(() => undefined);
}

async function send(url: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, { cache: "no-store", ...init });
  } catch {
    throw networkProblem();
  }
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}
