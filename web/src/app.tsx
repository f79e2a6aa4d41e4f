import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { client, useWho } from "./api/keystone";
import { Account } from "./pages/account";
import { Directory } from "./pages/directory";
import { GoLive } from "./pages/golive";
import { StreamPage } from "./pages/stream";
import { Streams } from "./pages/streams";
import { Watch } from "./pages/watch";
import { go, parse, type Route, usePath } from "./router";

export function App(): JSX.Element {
  const route = parse(usePath());
  const who = useWho();
  const leave = () => {
    void client.logout().catch(() => undefined);
    go("/");
  };
  return (
    <>
      <header class="bar">
        <a class="brand" href="/">
          <img src="/icon.svg" alt="" width="24" height="24" /> Keystone
        </a>
        <nav aria-label="Main">
          {who.phase === "in" && <a href="/streams">My streams</a>}
          {who.phase === "in" && (
            <button type="button" class="link" onClick={leave} title={who.user.email}>
              Sign out
            </button>
          )}
          {who.phase === "out" && <a href="/signin">Sign in</a>}
          {who.phase === "out" && (
            <a class="button small" href="/register">
              Register
            </a>
          )}
        </nav>
      </header>
      <main>
        <Shown route={route} />
      </main>
    </>
  );
}

function Shown({ route }: { route: Route }): JSX.Element | null {
  const who = useWho();
  const own = route.page === "streams" || route.page === "stream" || route.page === "golive";
  const turnedAway = own && who.phase === "out";
  useEffect(() => {
    if (turnedAway) go(`/signin#${location.pathname}`);
  }, [turnedAway]);
  if (own && who.phase !== "in") return null;
  switch (route.page) {
    case "directory":
      return <Directory />;
    case "signin":
    case "register":
      return <Account key={route.page} register={route.page === "register"} />;
    case "streams":
      return <Streams />;
    case "stream":
      return <StreamPage key={route.id} id={route.id} />;
    case "golive":
      return <GoLive key={route.id} id={route.id} />;
    case "watch":
      return <Watch key={route.id} id={route.id} />;
    case "lost":
      return (
        <section class="narrow">
          <h1>Nothing here</h1>
          <p>
            This address leads nowhere. <a href="/">See what is live.</a>
          </p>
        </section>
      );
  }
}
