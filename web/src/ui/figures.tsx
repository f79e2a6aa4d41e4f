import type { JSX } from "preact";
import type { Rates } from "../rtc/stats";

/** A running session in numbers. */
export function Figures({ rates, verb }: { rates: Rates | undefined; verb: "decoded" | "sent" }): JSX.Element {
  const shown: [string, string, string][] = [
    ["frames", `Frames ${verb}`, String(rates?.frames ?? 0)],
    ["fps", "Frames a second", String(rates?.fps ?? 0)],
    ["kbps", "Bitrate", `${rates?.kbps ?? 0} kbit/s`],
    ["size", "Picture", rates?.width ? `${rates.width} × ${rates.height}` : "–"],
    ["audio", "Audio packets", String(rates?.audioPackets ?? 0)],
    ["lost", "Packets lost", String(rates?.lost ?? 0)],
  ];
  return (
    <dl class="figures">
      {shown.map(([id, label, value]) => (
        <div key={id}>
          <dt>{label}</dt>
          <dd data-figure={id}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
