/** Publishing by WHIP. */
import { Problem } from "../api/problem";
import { RTC_BASE } from "../config";
import { type Opened, open } from "./signal";

export interface Quality {
  label: string;
  height: number;
  /** Bits a second, at most. */
  bitrate: number;
}

export const QUALITIES: readonly Quality[] = [
  { label: "360p", height: 360, bitrate: 800_000 },
  { label: "720p", height: 720, bitrate: 2_500_000 },
  { label: "1080p", height: 1080, bitrate: 5_000_000 },
];

export interface Publishing {
  pc: RTCPeerConnection;
  /** Sends other tracks in place of those of their kinds, without a new session. */
  replace(media: MediaStream): Promise<void>;
  stop(leaving?: boolean): Promise<void>;
}

/** Publishes `media`. H.264 first: it is what the media nodes carry to every kind of viewer. */
export async function publish(
  id: string,
  media: MediaStream,
  quality: Quality,
  token: string,
  takeover: boolean,
): Promise<Publishing> {
  const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  try {
    for (const track of media.getTracks()) {
      const sendEncodings = track.kind === "video" ? [{ maxBitrate: quality.bitrate }] : [];
      const transceiver = pc.addTransceiver(track, { direction: "sendonly", streams: [media], sendEncodings });
      if (track.kind === "video") preferH264(transceiver);
    }
    const session: Opened = await open(pc, `${RTC_BASE}/v1/whip/${id}${takeover ? "?takeover=1" : ""}`, token);
    const stop = async (leaving = false): Promise<void> => {
      const ended = session.close(leaving);
      pc.close();
      await ended;
    };
    const replace = async (next: MediaStream): Promise<void> => {
      for (const { sender, receiver } of pc.getTransceivers()) {
        const track = next.getTracks().find(({ kind }) => kind === receiver.track.kind) ?? null;
        await sender.replaceTrack(track);
      }
    };
    return { pc, replace, stop };
  } catch (problem) {
    pc.close();
    throw problem;
  }
}

function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpSender.getCapabilities("video")?.codecs ?? [];
  const chosen = h264First(codecs);
  if (!chosen.some(isH264))
    throw new Problem(0, "no-h264", "This browser cannot encode H.264, which publishing needs. Use another browser.");
  transceiver.setCodecPreferences(chosen);
}

/** H.264 and what belongs to it: most widely decoded profile first, repair (`rtx`) last, other codecs not at all. */
export function h264First<T extends { mimeType: string; sdpFmtpLine?: string }>(codecs: readonly T[]): T[] {
  const rank = ({ sdpFmtpLine = "" }: T): number =>
    (/profile-level-id=42[0-9a-f]{4}/i.test(sdpFmtpLine) ? 0 : 2) + (/packetization-mode=1/.test(sdpFmtpLine) ? 0 : 1);
  const video = codecs.filter(isH264).sort((a, b) => rank(a) - rank(b));
  return [...video, ...codecs.filter(({ mimeType }) => /\/rtx$/i.test(mimeType))];
}

function isH264({ mimeType }: { mimeType: string }): boolean {
  return /\/h264$/i.test(mimeType);
}
