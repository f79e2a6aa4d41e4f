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

/** What is on, and the wish that it answers. */
export interface On {
  wish: Wish;
  media: MediaStream;
}

const SOUND = { echoCancellation: true, channelCount: { ideal: 2 } };

/** What a picture is asked to be. */
export function size({ source, quality }: Wish): MediaTrackConstraints {
  return {
    height: { ideal: quality.height },
    frameRate: { ideal: 30, max: 30 },
    ...(source === "camera" ? { aspectRatio: { ideal: 16 / 9 } } : {}),
  };
}

/**
 * Starts what is wished for. What is on already and still wished for goes on in the answer, so that another microphone does not ask for the screen
 * again. Throws a {@link Problem} that says what to do; then what is on is as it was.
 */
export async function capture(wish: Wish, on?: On): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Problem(
      0,
      "insecure",
      "Browsers allow the camera only on https pages and on localhost. Open this page there.",
    );
  }
  const picture = on && samePicture(wish, on.wish) ? track(on.media, "video") : undefined;
  const sound = on && sameSound(wish, on.wish) ? track(on.media, "audio") : undefined;
  try {
    if (picture) return new MediaStream([picture, ...(await voice(wish, sound))]);
    return await (wish.source === "screen" ? screen(wish, sound) : camera(wish, sound));
  } catch (cause) {
    throw problemOf(cause, wish.source);
  }
}

/** A screen's own sound comes only with its picture. */
function samePicture(wish: Wish, on: Wish): boolean {
  if (wish.source !== on.source) return false;
  return wish.source === "screen" ? wish.microphone !== "" : wish.camera === on.camera;
}

/** With no microphone chosen, it may be a screen's own sound. */
function sameSound(wish: Wish, on: Wish): boolean {
  const cameras = wish.source === "camera" && on.source === "camera";
  return wish.microphone === on.microphone && (cameras || wish.microphone !== "");
}

function track(media: MediaStream, kind: "audio" | "video"): MediaStreamTrack | undefined {
  return media.getTracks().find((each) => each.kind === kind && each.readyState === "live");
}

async function voice({ microphone }: Wish, on: MediaStreamTrack | undefined): Promise<MediaStreamTrack[]> {
  if (on) return [on];
  return (await navigator.mediaDevices.getUserMedia({ audio: soundOf(microphone) })).getAudioTracks();
}

function soundOf(microphone: string): MediaTrackConstraints {
  return { ...SOUND, ...(microphone === "" ? {} : { deviceId: { exact: microphone } }) };
}

async function camera(wish: Wish, sound: MediaStreamTrack | undefined): Promise<MediaStream> {
  const video = { ...size(wish), ...(wish.camera === "" ? {} : { deviceId: { exact: wish.camera } }) };
  const get = (audio: MediaTrackConstraints | false) => navigator.mediaDevices.getUserMedia({ video, audio });
  if (sound) return new MediaStream([...(await get(false)).getTracks(), sound]);
  try {
    return await get(soundOf(wish.microphone));
  } catch (cause) {
    // A machine with a camera and no microphone has a picture to show all the same.
    if (nameOf(cause) === "NotFoundError") return await get(false);
    throw cause;
  }
}

/** A screen with the microphone that was chosen; with none chosen, with its own sound, else with whatever microphone there is. */
async function screen(wish: Wish, sound: MediaStreamTrack | undefined): Promise<MediaStream> {
  if (!navigator.mediaDevices.getDisplayMedia)
    throw new Problem(0, "no-screen", "This browser cannot share a screen. Use one on a computer.");
  const chosen = wish.microphone !== "";
  const media = await navigator.mediaDevices.getDisplayMedia({ video: size(wish), audio: !chosen });
  if (media.getAudioTracks().length > 0) return media;
  try {
    for (const each of await voice(wish, sound)) media.addTrack(each);
  } catch (cause) {
    if (chosen) {
      stopAll(media);
      throw cause;
    }
  }
  return media;
}

const SAID: Record<string, string> = {
  NotAllowedError:
    "Camera and microphone are blocked for this page. Allow them in the browser's address bar, then try again.",
  NotFoundError: "No camera or microphone was found. Connect one, then try again.",
  NotReadableError: "Another program uses the camera. Close it, then try again.",
  OverconstrainedError: "The chosen device is not there any more. Choose another one.",
};

function problemOf(cause: unknown, source: Source): Problem {
  if (cause instanceof Problem) return cause;
  const name = nameOf(cause);
  // What a browser says as well when the dialog was closed.
  if (source === "screen" && name === "NotAllowedError")
    return new Problem(
      0,
      "no-screen",
      "No screen was shared. Choose a screen, a window or a tab when the browser asks.",
    );
  return new Problem(0, "camera", SAID[name] ?? `Camera or microphone did not start (${String(cause)}).`);
}

function nameOf(cause: unknown): string {
  return cause instanceof DOMException || cause instanceof Error ? cause.name : "";
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

/** Devices off, but for those that `kept` uses too. */
export function stopAll(media: MediaStream | undefined, kept?: MediaStream): void {
  for (const each of media?.getTracks() ?? []) if (!kept?.getTracks().includes(each)) each.stop();
}
