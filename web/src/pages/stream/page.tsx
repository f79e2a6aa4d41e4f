/** `/streams/{stream}` and what is below it: one of the user's streams. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useWho } from "../../api/keystone";
import { stream as streamQuery } from "../../api/queries";
import type { Stream } from "../../api/types";
import { type StreamTab, useTitle } from "../../router";
import { Icon } from "../../ui/icons";
import { lazy } from "../../ui/lazy";
import { Refusal } from "../../ui/notice";
import { Head, Lamp, Since, Tabs, VisibilityTag, Waiting, watchPath } from "../../ui/parts";
import { count } from "../../ui/time";
import { Encoder } from "./encoder";
import { Broadcasts } from "./history";
import { Overview } from "./overview";
import { Settings } from "./settings";
import { Viewers } from "./viewers";

const GoLive = lazy(() => import("../live/golive").then((module) => module.GoLive));

export function StreamPage({ id, tab }: { id: string; tab: StreamTab }): JSX.Element {
  const who = useWho();
  const me = who.phase === "in" ? who.user.id : "";
  const { data: stream, error, refetch } = useQuery(streamQuery(id, me));
  useTitle(stream?.title);
  if (stream === undefined) {
    return error === null ? (
      <Waiting what="Loading the stream" />
    ) : (
      <>
        <Head title="Your stream" back={{ href: "/streams", label: "My streams" }} />
        <Refusal problem={error} again={() => void refetch()} />
      </>
    );
  }
  const base = `/streams/${id}`;
  const tabs: [string, string][] = [
    [base, "Overview"],
    [`${base}/live`, "Go live"],
    [`${base}/encoder`, "Use an encoder"],
    [`${base}/viewers`, "Viewers"],
    [`${base}/history`, "History"],
    [`${base}/settings`, "Settings"],
  ];
  return (
    <section>
      <Head title={stream.title} back={{ href: "/streams", label: "My streams" }}>
        <a class="button" href={watchPath(stream)}>
          <Icon name="live" /> Watch
        </a>
      </Head>
      <p class="meta under">
        <Lamp on={Boolean(stream.live)} />
        <VisibilityTag of={stream.visibility} />
        {stream.live && (
          <span class="soft">
            {count(stream.live.viewers, "viewer")} · started <Since of={stream.live} />
          </span>
        )}
      </p>
      <Tabs label="This stream" tabs={tabs} now={tab === "overview" ? base : `${base}/${tab}`} />
      <Tab stream={stream} tab={tab} />
    </section>
  );
}

function Tab({ stream, tab }: { stream: Stream; tab: StreamTab }): JSX.Element {
  switch (tab) {
    case "overview":
      return <Overview stream={stream} />;
    case "live":
      return <GoLive id={stream.id} />;
    case "encoder":
      return <Encoder stream={stream} />;
    case "viewers":
      return <Viewers stream={stream} />;
    case "history":
      return <Broadcasts stream={stream} />;
    case "settings":
      return <Settings stream={stream} />;
  }
}
