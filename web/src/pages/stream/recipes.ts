/** Ready settings for encoders. Pure, so that a test reads them. */
import type { Ingest } from "../../api/types";

/** One field of a program, or a whole command. */
export interface Field {
  label: string;
  value: string;
  secret?: boolean;
  block?: boolean;
}

export interface Recipe {
  id: string;
  name: string;
  steps: string[];
  fields: Field[];
  /** What a phone's camera reads. */
  qr?: { text: string; label: string };
}

/** Stands where the key would, while this window does not know it. */
export const NO_KEY = "YOUR_STREAM_KEY";

const TEST_PICTURE = "-re -f lavfi -i testsrc2=size=1280x720:rate=30 -re -f lavfi -i sine";
const H264 =
  "-c:v libx264 -preset veryfast -profile:v baseline -tune zerolatency -bf 0 -g 60 -b:v 2500k -pix_fmt yuv420p";

export function recipes(ingest: Ingest, title: string, key: string | undefined): Recipe[] {
  const secret = key !== undefined;
  const shown = key ?? NO_KEY;
  const fill = (text: string): string => text.replaceAll("{key}", shown);
  const rtmpKey = fill(ingest.rtmp_stream_key);
  const rtmp = `${ingest.rtmp_server}/${rtmpKey}`;
  const srt = fill(ingest.srt);
  return [
    {
      id: "obs-whip",
      name: "OBS (WHIP)",
      steps: [
        "OBS 30 or later: Settings → Stream, service “WHIP”.",
        "Fill in both fields, then set Output → Encoder to x264 or a hardware H.264 with no B-frames and a keyframe every 2 s.",
        "Start streaming. Viewers see it well under a second later.",
      ],
      fields: [
        { label: "Server", value: ingest.whip },
        { label: "Bearer token", value: shown, secret },
      ],
    },
    {
      id: "obs-rtmp",
      name: "OBS (RTMP)",
      steps: [
        "Any OBS: Settings → Stream, service “Custom…”.",
        "Fill in both fields, with no B-frames and a keyframe every 2 s.",
      ],
      fields: [
        { label: "Server", value: ingest.rtmp_server },
        { label: "Stream key", value: rtmpKey, secret },
      ],
    },
    {
      id: "ffmpeg",
      name: "ffmpeg",
      steps: ["A moving test picture with a tone; put your own input in its place."],
      fields: [
        {
          label: "WHIP (FFmpeg 8 or later)",
          value: `ffmpeg ${TEST_PICTURE} \\\n  ${H264} -c:a libopus -ar 48000 -ac 2 \\\n  -authorization "${shown}" -f whip "${ingest.whip}"`,
          secret,
          block: true,
        },
        {
          label: "RTMP",
          value: `ffmpeg ${TEST_PICTURE} \\\n  ${H264} -c:a aac -b:a 128k \\\n  -f flv "${rtmp}"`,
          secret,
          block: true,
        },
        {
          label: "SRT",
          value: `ffmpeg ${TEST_PICTURE} \\\n  ${H264} -c:a aac -b:a 128k \\\n  -f mpegts "${srt}"`,
          secret,
          block: true,
        },
      ],
    },
    {
      id: "gstreamer",
      name: "GStreamer",
      steps: ["WHIP needs gst-plugins-rs (1.22 or later); RTMP comes with gst-plugins-bad."],
      fields: [
        {
          label: "WHIP",
          value: `gst-launch-1.0 videotestsrc is-live=true ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert \\\n  ! x264enc tune=zerolatency bframes=0 key-int-max=60 bitrate=2500 ! video/x-h264,profile=constrained-baseline ! h264parse ! rtph264pay config-interval=-1 \\\n  ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! whip.sink_0 \\\n  audiotestsrc is-live=true ! audioconvert ! opusenc ! rtpopuspay ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! whip.sink_1 \\\n  whipsink name=whip whip-endpoint="${ingest.whip}" auth-token="${shown}"`,
          secret,
          block: true,
        },
        {
          label: "RTMP",
          value: `gst-launch-1.0 flvmux name=mux streamable=true ! rtmp2sink location="${rtmp}" \\\n  videotestsrc is-live=true ! video/x-raw,width=1280,height=720,framerate=30/1 ! videoconvert \\\n  ! x264enc tune=zerolatency bframes=0 key-int-max=60 bitrate=2500 ! h264parse ! mux. \\\n  audiotestsrc is-live=true ! audioconvert ! avenc_aac ! aacparse ! mux.`,
          secret,
          block: true,
        },
      ],
    },
    {
      id: "phone",
      name: "Phone",
      steps: [
        "Install Larix Broadcaster (Android or iPhone) and scan the code with the phone's camera: it sets the connection up. Then press record.",
        "Any other app that publishes by RTMP takes the address below, whole or in its two parts.",
      ],
      fields: [
        { label: "RTMP address", value: rtmp, secret },
        { label: "Server", value: ingest.rtmp_server },
        { label: "Stream key", value: rtmpKey, secret },
      ],
      qr: { text: larix(rtmp, title), label: "Connection for Larix Broadcaster" },
    },
  ];
}

/** Larix Broadcaster's own link ("Larix Grove"): one connection, video and sound. */
export function larix(url: string, name: string): string {
  return `larix://set/v1?conn[][url]=${encodeURIComponent(url)}&conn[][name]=${encodeURIComponent(name)}&conn[][mode]=av`;
}
