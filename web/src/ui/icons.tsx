/** The few pictograms of these pages, drawn with the text's colour. */
import type { JSX } from "preact";

const PATHS = {
  alert: "M12 3 2 20h20L12 3Zm0 7v4m0 3v.01",
  info: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18Zm0-10v6m0-9v.01",
  check: "m5 12 5 5 9-10",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  camera: "M3 7h11v10H3zM14 10.5l7-3.5v10l-7-3.5",
  screen: "M3 4h18v12H3zM8 20h8m-4-4v4",
  mic: "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3Zm-6 8a6 6 0 0 0 12 0m-6 6v4",
  plus: "M12 5v14M5 12h14",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8Zm0-6v2m0 16v2M2 12h2m16 0h2M5 5l1.5 1.5m11 11L19 19M19 5l-1.5 1.5m-11 11L5 19",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5Z",
  auto: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 0v18",
  sound: "M4 9v6h4l5 4V5L8 9H4Zm12 0a4 4 0 0 1 0 6m2.5-9a8 8 0 0 1 0 12",
  mute: "M4 9v6h4l5 4V5L8 9H4Zm12 0 5 6m0-6-5 6",
  full: "M4 9V4h5m6 0h5v5m0 6v5h-5m-6 0H4v-5",
  users:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Zm-7 9c0-4 3-6 7-6s7 2 7 6m0-15.5a3.5 3.5 0 0 1 0 6.5m2 3.5c2.500.8 4 2.500 4 5.500",
  share: "M12 15V4m-4 4 4-4 4 4M5 12v8h14v-8",
  back: "m14 6-6 6 6 6",
  close: "m6 6 12 12M18 6 6 18",
  live: "M12 14a2 2 0 1 0 0-4 2 2 0 0 0 0 4Zm-5 3a7 7 0 0 1 0-10m10 0a7 7 0 0 1 0 10M4 20a11 11 0 0 1 0-16m16 0a11 11 0 0 1 0 16",
  node: "M4 4h16v6H4zm0 10h16v6H4zM8 7v.01M8 17v.01",
  key: "M15 4a5 5 0 1 1-4.500 7.200L4 18v3h3v-2h2v-2h2l1.500-1.800A5 5 0 0 1 15 4Zm1 4v.01",
  trash: "M4 7h16M9 7V4h6v3m-8 0 1 13h8l1-13",
} as const;

export type IconName = keyof typeof PATHS;

/** Says nothing to screen readers: a text beside it, or the label of its button, does. */
export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
