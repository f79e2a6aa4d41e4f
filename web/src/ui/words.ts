/** What the API's words are called on these pages. */
import type { EndReason, Protocol } from "../api/types";

const PROTOCOLS: Record<Protocol, string> = {
  webrtc: "WebRTC",
  rtmp: "RTMP",
  srt: "SRT",
  hls: "HLS",
  http_flv: "HTTP-FLV",
};

const REASONS: Record<EndReason, string> = {
  client_left: "Stopped by the publisher",
  kicked: "Ended by the owner or an operator",
  taken_over: "Taken over by a new publisher",
  revoked: "Its key or token was revoked",
  node_lost: "Its media node was lost",
  stream_moved: "Moved to another node",
  reconciled: "Found gone",
};

/** A newer server may know more words than this page. */
export const protocolName = (protocol: string): string => PROTOCOLS[protocol as Protocol] ?? protocol;
export const reasonName = (reason: string): string => REASONS[reason as EndReason] ?? reason.replaceAll("_", " ");

/** The first letter, as people of all scripts count letters. */
export function initial(name: string): string {
  return ([...name.trim()][0] ?? "?").toUpperCase();
}
