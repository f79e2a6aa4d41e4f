/** Paths of these pages. The server answers any of them with index.html. */
import { useEffect } from "preact/hooks";
import { useStore } from "./ui/store";

export type StreamTab = "overview" | "live" | "encoder" | "viewers" | "history" | "settings";
export type AdminTab = "overview" | "streams" | "fleet" | "events" | "audit" | "users";

export type Route =
  | { page: "directory" }
  | { page: "signin" }
  | { page: "register" }
  | { page: "account" }
  | { page: "reset" }
  | { page: "streams" }
  | { page: "stream"; id: string; tab: StreamTab }
  | { page: "watch"; id: string }
  | { page: "admin"; tab: AdminTab }
  | { page: "admin-node"; id: string }
  | { page: "admin-enrol" }
  | { page: "admin-stream"; id: string }
  | { page: "lost" };

/** Stream ids as proto makes them; anything else is nowhere. */
const ID = /^[A-Za-z0-9_-]{1,64}$/;
/** Node ids may have dots. */
const NODE = /^[A-Za-z0-9._-]{1,64}$/;

const STREAM_TABS: readonly string[] = ["live", "encoder", "viewers", "history", "settings"];
const ADMIN_TABS: readonly string[] = ["streams", "fleet", "events", "audit", "users"];
const LOST: Route = { page: "lost" };

/** Pages whose path is their name. */
const PLAIN = ["signin", "register", "reset", "streams", "account"] as const;
const isPlain = (head: string): head is (typeof PLAIN)[number] => (PLAIN as readonly string[]).includes(head);

export function parse(path: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [head = "", id = "", tail] = parts;
  if (parts.length === 0) return { page: "directory" };
  if (head === "admin") return admin(parts.slice(1));
  if (parts.length === 1 && isPlain(head)) return { page: head };
  if (!ID.test(id)) return LOST;
  if (parts.length === 2 && head === "watch") return { page: "watch", id };
  if (parts.length === 2 && head === "streams") return { page: "stream", id, tab: "overview" };
  if (parts.length === 3 && head === "streams" && STREAM_TABS.includes(tail ?? ""))
    return { page: "stream", id, tab: tail as StreamTab };
  return LOST;
}

function admin(parts: string[]): Route {
  const [head = "", id = ""] = parts;
  if (parts.length === 0) return { page: "admin", tab: "overview" };
  if (parts.length === 1 && ADMIN_TABS.includes(head)) return { page: "admin", tab: head as AdminTab };
  if (parts.length === 1 && head === "enrol") return { page: "admin-enrol" };
  if (parts.length === 2 && head === "nodes" && NODE.test(id)) return { page: "admin-node", id };
  if (parts.length === 2 && head === "streams" && ID.test(id)) return { page: "admin-stream", id };
  return LOST;
}

/** Goes to another page of ours; `replace` when the present one should not be come back to. */
export function go(path: string, replace = false): void {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  dispatchEvent(new PopStateEvent("popstate"));
  scrollTo(0, 0);
}

const subscribe = (listener: () => void) => {
  addEventListener("popstate", listener);
  return () => removeEventListener("popstate", listener);
};

/** The path now. Clicks on links of ours change it without loading the page again. */
export function usePath(): string {
  useEffect(() => {
    const clicked = (event: MouseEvent) => {
      const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
      const link = event.target instanceof Element ? event.target.closest("a") : null;
      if (!plain || event.defaultPrevented || !link || link.target !== "" || link.origin !== location.origin) return;
      // These are other programs' pages; and a link within this page is the browser's.
      if (/^\/(api|rtc|live|hls|embed)\//.test(link.pathname) || link.getAttribute("href")?.startsWith("#")) return;
      event.preventDefault();
      go(link.pathname + link.search + link.hash);
    };
    document.addEventListener("click", clicked);
    return () => document.removeEventListener("click", clicked);
  }, []);
  return useStore(subscribe, () => location.pathname);
}

/** Names the browser's tab. */
export function useTitle(title: string | undefined): void {
  useEffect(() => {
    document.title = title === undefined || title === "" ? "Keystone" : `${title} · Keystone`;
  }, [title]);
}
