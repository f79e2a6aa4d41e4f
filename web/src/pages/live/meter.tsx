/** How loud the microphone is, so that nobody goes live without sound. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** Loudness of samples from -1 to 1, as 0 (silence, -60 dB or less) to 1 (full). */
export function loudness(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12);
  return Math.max(0, Math.min(1, (decibels + 60) / 60));
}

export function Meter({ media }: { media: MediaStream }): JSX.Element {
  const meter = useRef<HTMLMeterElement>(null);
  useEffect(() => {
    if (media.getAudioTracks().length === 0) return;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(media).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let frame = 0;
    const look = () => {
      analyser.getFloatTimeDomainData(samples);
      if (meter.current) meter.current.value = loudness(samples);
      frame = requestAnimationFrame(look);
    };
    look();
    return () => {
      cancelAnimationFrame(frame);
      void context.close();
    };
  }, [media]);
  if (media.getAudioTracks().length === 0) return <p class="soft">No sound: this source has none.</p>;
  return (
    <label class="level">
      <span class="sr">Sound level</span>
      <meter ref={meter} min={0} max={1} low={0.15} high={0.9} optimum={0.5} value={0} />
    </label>
  );
}
