/** Trickle fragments, `application/trickle-ice-sdpfrag` (RFC 8840). */
export interface Local {
  /** The local description. */
  sdp: string;
  /** `candidate:...` each. */
  candidates: string[];
  /** Nothing more will follow. */
  complete: boolean;
}

/** Everything is bundled, so only the first section of the bundle is told of (RFC 9725 4.3.2). */
export function fragment({ sdp, candidates, complete }: Local): string {
  const lines = sdp.split(/\r?\n/);
  const from = lines.findIndex((line) => line.startsWith("m="));
  const next = lines.findIndex((line, index) => index > from && line.startsWith("m="));
  const section = from < 0 ? [] : lines.slice(from, next < 0 ? undefined : next);
  const attribute = (name: string): string[] => {
    const line = [...section, ...lines].find((each) => each.startsWith(`a=${name}:`));
    return line === undefined ? [] : [line];
  };
  return [
    ...attribute("ice-ufrag"),
    ...attribute("ice-pwd"),
    section[0] ?? "m=audio 9 UDP/TLS/RTP/SAVPF 0",
    ...attribute("mid"),
    ...candidates.map((candidate) => `a=${candidate}`),
    ...(complete ? ["a=end-of-candidates"] : []),
    "",
  ].join("\r\n");
}
