/** Viewers and bitrates over time. The drawing library is loaded with the first chart. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import type { Sample } from "../api/types";
import { bitrate, clock, count } from "./time";

/** A pause in the samples longer than this is drawn as one, s. */
const GAP_S = 45;
const HEIGHT = 190;

export interface Line {
  label: string;
  /** Name of a colour in `tokens.css`. */
  colour: string;
  values: (number | null)[];
  /** Which of the two axes, and how its numbers read. */
  scale: string;
  reads: (value: number) => string;
  filled?: boolean;
}

/** Times in s, and for each line a value or a hole. A hole stands where nothing was sampled for a while. */
export function columns(samples: readonly Sample[]): {
  times: number[];
  of: (get: (s: Sample) => number) => (number | null)[];
} {
  const times: number[] = [];
  const taken: (Sample | undefined)[] = [];
  for (const sample of samples) {
    const at = Date.parse(sample.at) / 1000;
    const last = times.at(-1);
    if (last !== undefined && at - last > GAP_S) {
      times.push(last + 1);
      taken.push(undefined);
    }
    times.push(at);
    taken.push(sample);
  }
  return { times, of: (get) => taken.map((sample) => (sample === undefined ? null : get(sample))) };
}

export function History({ samples }: { samples: readonly Sample[] }): JSX.Element {
  if (samples.length < 2) return <p class="soft">The first figures come within half a minute of going live.</p>;
  const { times, of } = columns(samples);
  const peak = Math.max(...samples.map(({ viewers }) => viewers));
  const mean = samples.reduce((sum, { kbps_in }) => sum + kbps_in, 0) / samples.length;
  const lines: Line[] = [
    { label: "Viewers", colour: "--chart-1", values: of((s) => s.viewers), scale: "n", reads: String, filled: true },
    { label: "Arrives", colour: "--chart-2", values: of((s) => s.kbps_in), scale: "kbps", reads: bitrate },
    { label: "Goes out", colour: "--chart-3", values: of((s) => s.kbps_out), scale: "kbps", reads: bitrate },
  ];
  return (
    <Chart
      times={times}
      lines={lines}
      says={`${count(peak, "viewer")} at most; ${bitrate(mean)} arriving on average.`}
    />
  );
}

/** `says` is the drawing in words. */
export function Chart({ times, lines, says }: { times: number[]; lines: Line[]; says: string }): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  const [at, setAt] = useState<number>();
  useEffect(() => {
    const element = root.current;
    if (!element) return;
    let over = false;
    let plot: uPlot | undefined;
    const draw = async () => {
      const [{ default: Plot }] = await Promise.all([import("uplot"), import("uplot/dist/uPlot.min.css")]);
      if (over) return;
      plot?.destroy();
      plot = new Plot(options(element, lines, setAt), [times, ...lines.map(({ values }) => values)], element);
    };
    void draw();
    const sizes = new ResizeObserver(() => plot?.setSize({ width: element.clientWidth, height: HEIGHT }));
    sizes.observe(element);
    // Colours are read once, so another theme is another drawing.
    const themes = new MutationObserver(() => void draw());
    themes.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const turned = () => void draw();
    dark.addEventListener("change", turned);
    return () => {
      over = true;
      sizes.disconnect();
      themes.disconnect();
      dark.removeEventListener("change", turned);
      plot?.destroy();
    };
  }, [times.length, times.at(-1), lines.length]);
  const shown = at ?? times.length - 1;
  return (
    <figure class="chart">
      <div ref={root} role="img" aria-label={says} class="plot" />
      <figcaption>
        <span class="soft">{times[shown] === undefined ? "" : clock((times[shown] as number) * 1000)}</span>
        {lines.map(({ label, values, reads }, index) => (
          <span key={label} class={`legend chart-${index + 1}`}>
            {label} <strong>{values[shown] == null ? "–" : reads(values[shown] as number)}</strong>
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

function options(element: HTMLElement, lines: Line[], point: (at: number | undefined) => void): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string): string => style.getPropertyValue(name).trim();
  const font = `12px ${style.fontFamily}`;
  const axis = { stroke: colour("--soft"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const scales = [...new Set(lines.map(({ scale }) => scale))];
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 7 } },
    scales: Object.fromEntries(scales.map((scale) => [scale, { range: (_, __, max) => [0, Math.max(4, max * 1.15)] }])),
    axes: [
      { ...axis, space: 90, values: (_: uPlot, ticks: number[]) => ticks.map((tick) => clock(tick * 1000)) },
      ...scales.map((scale, index) => ({
        ...axis,
        scale,
        side: (index === 0 ? 3 : 1) as uPlot.Axis.Side,
        size: index === 0 ? 36 : 78,
        grid: index === 0 ? axis.grid : { show: false },
        incrs: index === 0 ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10_000] : [],
        values: (_: uPlot, ticks: number[]) =>
          ticks.map((tick) => lines.find((line) => line.scale === scale)?.reads(tick) ?? ""),
      })),
    ].map((each) => {
      const { incrs, ...rest } = each as uPlot.Axis & { incrs?: number[] };
      return incrs && incrs.length > 0 ? { ...rest, incrs } : rest;
    }),
    series: [
      {},
      ...lines.map(({ label, colour: name, scale, filled }) => ({
        label,
        scale,
        stroke: colour(name),
        width: 2,
        points: { show: false },
        ...(filled ? { fill: `color-mix(in srgb, ${colour(name)} 14%, transparent)` } : {}),
      })),
    ],
    hooks: { setCursor: [({ cursor }) => point(cursor.idx ?? undefined)] },
  };
}
