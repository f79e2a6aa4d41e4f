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
  const silence = new Silence();
  const tracks = (from: MediaStream) => [from.getVideoTracks()[0], from.getAudioTracks()[0] ?? silence.track];
  try {
    for (const track of tracks(media)) {
      if (!track) continue;
      const sendEncodings = track.kind === "video" ? [{ maxBitrate: quality.bitrate }] : [];
      const transceiver = pc.addTransceiver(track, { direction: "sendonly", streams: [media], sendEncodings });
      if (track.kind === "video") preferH264(transceiver);
    }
    const session: Opened = await open(pc, `${RTC_BASE}/v1/whip/${id}${takeover ? "?takeover=1" : ""}`, token);
    const stop = async (leaving = false): Promise<void> => {
      const ended = session.close(leaving);
      pc.close();
      silence.end();
      await ended;
    };
    const replace = async (next: MediaStream): Promise<void> => {
      for (const { sender, receiver } of pc.getTransceivers()) {
        const track = tracks(next).find((each) => each?.kind === receiver.track.kind) ?? null;
        // A session that is over takes nothing; the one after it begins with what is on then.
        await sender.replaceTrack(track).catch(() => undefined);
      }
    };
    return { pc, replace, stop };
  } catch (problem) {
    pc.close();
    silence.end();
    throw problem;
  }
}

/**
 * What is sent where a source has no sound. Viewers agree with the server once on what they get: whoever came while there was no sound at all would
 * hear none of a microphone that is turned on later.
 */
class Silence {
  #context: AudioContext | undefined;
  #track: MediaStreamTrack | undefined;

  /** Made when it is asked for. */
  get track(): MediaStreamTrack | undefined {
    if (this.#context === undefined) {
      this.#context = new AudioContext();
      const destination = this.#context.createMediaStreamDestination();
      const nothing = new ConstantSourceNode(this.#context, { offset: 0 });
      nothing.connect(destination);
      nothing.start();
      this.#track = destination.stream.getAudioTracks()[0];
    }
    return this.#track;
  }

  end(): void {
    void this.#context?.close();
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
