/** Paths of these pages. The server answers any of them with index.html. */
import { useEffect, useState } from "preact/hooks";

export type Route =
  | { page: "directory" }
  | { page: "signin" }
  | { page: "register" }
  | { page: "streams" }
  | { page: "stream"; id: string }
  | { page: "golive"; id: string }
  | { page: "watch"; id: string }
  | { page: "lost" };

/** Stream ids as proto makes them; anything else is nowhere. */
const ID = /^[A-Za-z0-9_-]{1,64}$/;

export function parse(path: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [head = "", id = "", tail] = parts;
  if (parts.length === 0) return { page: "directory" };
  if (parts.length === 1 && (head === "signin" || head === "register" || head === "streams")) return { page: head };
  if (!ID.test(id)) return { page: "lost" };
  if (parts.length === 2 && head === "watch") return { page: "watch", id };
  if (parts.length === 2 && head === "streams") return { page: "stream", id };
  if (parts.length === 3 && head === "streams" && tail === "live") return { page: "golive", id };
  return { page: "lost" };
}

export function go(path: string): void {
  history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
  scrollTo(0, 0);
}

/** The path now. Clicks on links of ours change it without loading the page again. */
export function usePath(): string {
  const [path, set] = useState(location.pathname);
  useEffect(() => {
    const moved = () => set(location.pathname);
    const clicked = (event: MouseEvent) => {
      const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (!plain || event.defaultPrevented || !link || link.target !== "" || link.origin !== location.origin) return;
      if (/^\/(api|rtc|live|hls)\//.test(link.pathname)) return;
      event.preventDefault();
      go(link.pathname + link.hash);
    };
    addEventListener("popstate", moved);
    // A page below may have moved on before this listened.
    moved();
    document.addEventListener("click", clicked);
    return () => {
      removeEventListener("popstate", moved);
      document.removeEventListener("click", clicked);
    };
  }, []);
  return path;
}
