/** What `getStats` says of a session, in the few numbers that people read. */
export interface Reading {
  /** Of `performance.now()`, ms. */
  at: number;
  /** Frames decoded, or sent. */
  frames: number;
  audioPackets: number;
  bytes: number;
  lost: number;
  width: number;
  height: number;
}

export interface Rates extends Reading {
  kbps: number;
  fps: number;
}

/** Sums the rows of one direction. A field that the browser has not filled in yet counts as 0. */
export function read(report: Iterable<object>, direction: "inbound-rtp" | "outbound-rtp", at: number): Reading {
  const reading: Reading = { at, frames: 0, audioPackets: 0, bytes: 0, lost: 0, width: 0, height: 0 };
  for (const row of report as Iterable<Record<string, unknown>>) {
    if (row.type !== direction) continue;
    const number = (name: string): number => (typeof row[name] === "number" ? (row[name] as number) : 0);
    const inbound = direction === "inbound-rtp";
    reading.bytes += number(inbound ? "bytesReceived" : "bytesSent");
    reading.lost += Math.max(0, number("packetsLost"));
    if (row.kind === "audio") reading.audioPackets += number(inbound ? "packetsReceived" : "packetsSent");
    if (row.kind === "video") {
      reading.frames += number(inbound ? "framesDecoded" : "framesSent");
      reading.width = Math.max(reading.width, number("frameWidth"));
      reading.height = Math.max(reading.height, number("frameHeight"));
    }
  }
  return reading;
}

/** Rates between two readings; 0 without an earlier one. */
export function rates(now: Reading, before: Reading | undefined): Rates {
  const ms = before === undefined ? 0 : now.at - before.at;
  if (before === undefined || ms <= 0) return { ...now, kbps: 0, fps: 0 };
  return {
    ...now,
    kbps: Math.max(0, Math.round(((now.bytes - before.bytes) * 8) / ms)),
    fps: Math.max(0, Math.round(((now.frames - before.frames) * 1000) / ms)),
  };
}

/** Reads once a second until the answer is called. */
export function follow(
  pc: RTCPeerConnection,
  direction: "inbound-rtp" | "outbound-rtp",
  tell: (rates: Rates) => void,
): () => void {
  let before: Reading | undefined;
  const timer = setInterval(() => {
    void pc.getStats().then((report) => {
      if (pc.signalingState === "closed") return;
      const now = read(report.values(), direction, performance.now());
      tell(rates(now, before));
      before = now;
    });
  }, 1000);
  return () => clearInterval(timer);
}
