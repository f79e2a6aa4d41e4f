/** Cameras, microphones and screens of this machine. */
import { Problem } from "../api/problem";
import type { Quality } from "./whip";

export type Source = "camera" | "screen";

export interface Wish {
  source: Source;
  quality: Quality;
  /** Device ids; empty for whatever the browser prefers. */
  camera: string;
  microphone: string;
}

export interface Device {
  id: string;
  label: string;
}

const SOUND = { echoCancellation: true, channelCount: { ideal: 2 } };

/** Starts what is wished for. Throws a {@link Problem} that says what to do. */
export async function capture({ source, quality, camera, microphone }: Wish): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Problem(
      0,
      "insecure",
      "Browsers allow the camera only on https pages and on localhost. Open this page there.",
    );
  }
  const size = { height: { ideal: quality.height }, frameRate: { ideal: 30, max: 30 } };
  const sound = { ...SOUND, ...(microphone === "" ? {} : { deviceId: { exact: microphone } }) };
  try {
    if (source === "screen") return await screen(size, sound);
    const video = {
      ...size,
      aspectRatio: { ideal: 16 / 9 },
      ...(camera === "" ? {} : { deviceId: { exact: camera } }),
    };
    return await navigator.mediaDevices.getUserMedia({ video, audio: sound });
  } catch (cause) {
    throw problemOf(cause);
  }
}

/** A screen with its own sound if the browser gives it, else with the microphone if there is one. */
async function screen(video: MediaTrackConstraints, sound: MediaTrackConstraints): Promise<MediaStream> {
  if (!navigator.mediaDevices.getDisplayMedia)
    throw new Problem(0, "no-screen", "This browser cannot share a screen. Use one on a computer.");
  const media = await navigator.mediaDevices.getDisplayMedia({ video, audio: true });
  if (media.getAudioTracks().length > 0) return media;
  const voice = await navigator.mediaDevices.getUserMedia({ audio: sound }).catch(() => undefined);
  for (const track of voice?.getAudioTracks() ?? []) media.addTrack(track);
  return media;
}

const SAID: Record<string, string> = {
  NotAllowedError:
    "Camera and microphone are blocked for this page. Allow them in the browser's address bar, then try again.",
  NotFoundError: "No camera or microphone was found. Connect one, then try again.",
  NotReadableError: "Another program uses the camera. Close it, then try again.",
  OverconstrainedError: "The chosen device is not there any more. Choose another one.",
};

function problemOf(cause: unknown): Problem {
  if (cause instanceof Problem) return cause;
  const name = cause instanceof DOMException || cause instanceof Error ? cause.name : "";
  return new Problem(0, "camera", SAID[name] ?? `Camera or microphone did not start (${String(cause)}).`);
}

/** What can be chosen. Names are there only after the user has allowed the camera once. */
export async function devices(): Promise<{ cameras: Device[]; microphones: Device[] }> {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  const of = (kind: MediaDeviceKind, name: string): Device[] =>
    all
      .filter((device) => device.kind === kind && device.deviceId !== "")
      .map(({ deviceId, label }, index) => ({ id: deviceId, label: label || `${name} ${index + 1}` }));
  return { cameras: of("videoinput", "Camera"), microphones: of("audioinput", "Microphone") };
}

export function stopAll(media: MediaStream | undefined): void {
  for (const track of media?.getTracks() ?? []) track.stop();
}
