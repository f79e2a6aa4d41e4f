import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { LIVE_BASE } from "../config";
import { initial } from "./words";

/** The edge cuts a new picture this often, ms. */
const FRESH_MS = 10_000;

/** What a live stream looks like now: a still of the edge's, looked at again while the page can be seen. Until there is one, a placeholder. */
export function Picture({ id, title, token }: { id: string; title: string; token?: string }): JSX.Element {
  const [shown, setShown] = useState<string>();
  useEffect(() => {
    let over = false;
    const look = () => {
      if (document.hidden) return;
      const query = new URLSearchParams({ at: String(Math.floor(Date.now() / FRESH_MS)), ...(token ? { token } : {}) });
      const image = new Image();
      image.onload = () => over || setShown(image.src);
      image.onerror = () => over || setShown(undefined);
      image.src = `${LIVE_BASE}/${id}.jpg?${query}`;
    };
    look();
    const timer = setInterval(look, FRESH_MS);
    document.addEventListener("visibilitychange", look);
    return () => {
      over = true;
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [id, token]);
  if (shown !== undefined) return <img class="picture" src={shown} alt="" />;
  return (
    <span class={`picture none hue-${hue(id)}`} aria-hidden="true">
      {initial(title)}
    </span>
  );
}

/** One of six colours, always the same for a stream. */
function hue(id: string): number {
  return [...id].reduce((sum, letter) => (sum * 31 + (letter.codePointAt(0) ?? 0)) % 9973, 7) % 6;
}
