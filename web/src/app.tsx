/** The frame around every page: who is signed in, where one can go, and whether the server answers. */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { client, useReached, useWho } from "./api/keystone";
import { useListening } from "./api/news";
import { queries } from "./api/queries";
import { Directory } from "./pages/directory";
import { go, parse, type Route, usePath, useTitle } from "./router";
import { Icon } from "./ui/icons";
import { lazy } from "./ui/lazy";
import { Menu } from "./ui/menu";
import { useOnAir } from "./ui/onair";
import { Lamp, Waiting } from "./ui/parts";

// The directory comes with the frame; every other page when it is asked for.
const Watch = lazy(() => import("./pages/watch").then((module) => module.Watch));
const Account = lazy(() => import("./pages/account").then((module) => module.Account));
const Profile = lazy(() => import("./pages/profile").then((module) => module.Profile));
const ResetPassword = lazy(() => import("./pages/password").then((module) => module.ResetPassword));
const Streams = lazy(() => import("./pages/streams").then((module) => module.Streams));
const StreamPage = lazy(() => import("./pages/stream/page").then((module) => module.StreamPage));
const admin = () => import("./pages/admin/pages");
const Admin = lazy(() => admin().then((module) => module.Admin));
const NodePage = lazy(() => admin().then((module) => module.NodePage));
const Enrol = lazy(() => admin().then((module) => module.Enrol));
const Placement = lazy(() => admin().then((module) => module.Placement));

/** Pages of people with an account, and those of operators. */
const OWN: readonly Route["page"][] = ["account", "streams", "stream"];
const OPERATORS: readonly Route["page"][] = ["admin", "admin-node", "admin-enrol", "admin-stream"];

export function App(): JSX.Element {
  useListening();
  const path = usePath();
  const route = parse(path);
  const main = useRef<HTMLElement>(null);
  const before = useRef(path);
  // Whoever cannot see the page change hears where they are now.
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    main.current?.focus({ preventScroll: true });
  }, [path]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="bar">
        <div class="bar-in">
          <a class="brand" href="/">
            <img src="/icon.svg" alt="" width="26" height="26" /> <span>Keystone</span>
          </a>
          <Nav path={path} />
          <Menu />
        </div>
      </header>
      <Away />
      <LiveBar path={path} />
      <main id="main" ref={main} tabIndex={-1} class={route.page === "watch" ? "wide" : undefined}>
        <Shown route={route} />
      </main>
    </>
  );
}

function Nav({ path }: { path: string }): JSX.Element {
  const who = useWho();
  const link = (href: string, label: string, exact = false) => (
    <a href={href} aria-current={(exact ? path === href : path.startsWith(href)) ? "page" : undefined}>
      {label}
    </a>
  );
  return (
    <nav aria-label="Main" class="main-nav">
      {link("/", "Live", true)}
      {who.phase === "in" && link("/streams", "My streams")}
      {who.phase === "in" && who.user.role === "admin" && link("/admin", "Cluster")}
    </nav>
  );
}

/** Shown while control-api does not answer. It is asked again meanwhile, so that this goes away by itself. */
function Away(): JSX.Element | null {
  const reached = useReached();
  const who = useWho();
  useEffect(() => {
    if (reached) return;
    const timer = setInterval(() => {
      // A sign-in that could not be renewed may be good all the same.
      if (client.who.phase === "out") void client.start();
      void queries.refetchQueries({ type: "active" });
    }, 3_000);
    return () => clearInterval(timer);
  }, [reached, who.phase]);
  if (reached) return null;
  return (
    <div class="away" role="status">
      <Icon name="alert" />
      <span>
        Keystone does not answer right now. What plays or is live goes on; the rest comes back by itself as soon as it
        does.
      </span>
    </div>
  );
}

/** Whoever is live and looks at another page is not left wondering. */
function LiveBar({ path }: { path: string }): JSX.Element | null {
  const onAir = useOnAir();
  const home = `/streams/${onAir?.stream}/live`;
  if (onAir === undefined || path === home) return null;
  return (
    <aside class="live-bar" aria-label="On air">
      <Lamp on={onAir.phase === "live"} label={onAir.phase === "live" ? "Live" : "Reconnecting…"} />
      <span>You are publishing from this window.</span>
      <a class="button small" href={home}>
        Go back
      </a>
      <button type="button" class="small danger" onClick={onAir.stop}>
        Stop
      </button>
    </aside>
  );
}

function Shown({ route }: { route: Route }): JSX.Element {
  const who = useWho();
  const operators = OPERATORS.includes(route.page);
  const own = operators || OWN.includes(route.page);
  const turnedAway = own && who.phase === "out";
  useEffect(() => {
    if (turnedAway) go(`/signin#${location.pathname}`, true);
  }, [turnedAway]);
  if (own && who.phase !== "in") return <Waiting what="Signing in" />;
  if (operators && who.phase === "in" && who.user.role !== "admin")
    return <Lost why="This part is for operators. Sign in with an operator's account to see it." />;
  return <Chosen route={route} />;
}

function Chosen({ route }: { route: Route }): JSX.Element {
  switch (route.page) {
    case "directory":
      return <Directory />;
    case "signin":
    case "register":
      return <Account key={route.page} register={route.page === "register"} />;
    case "account":
      return <Profile />;
    case "reset":
      return <ResetPassword />;
    case "streams":
      return <Streams />;
    case "stream":
      return <StreamPage key={route.id} id={route.id} tab={route.tab} />;
    case "watch":
      return <Watch key={route.id} id={route.id} />;
    case "admin":
      return <Admin tab={route.tab} />;
    case "admin-node":
      return <NodePage key={route.id} id={route.id} />;
    case "admin-enrol":
      return <Enrol />;
    case "admin-stream":
      return <Placement key={route.id} id={route.id} />;
    case "lost":
      return <Lost why="This address leads nowhere. It may have been deleted, or the link is not whole." />;
  }
}

function Lost({ why }: { why: string }): JSX.Element {
  useTitle("Nothing here");
  return (
    <section class="narrow">
      <h1>Nothing here</h1>
      <p>{why}</p>
      <p>
        <a class="button primary" href="/">
          See what is live
        </a>
      </p>
    </section>
  );
}
