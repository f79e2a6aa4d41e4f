/** `/`: public streams that are live now. */
import { useQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { useWho } from "../api/keystone";
import { directory } from "../api/queries";
import type { Stream } from "../api/types";
import { useTitle } from "../router";
import { Refusal } from "../ui/notice";
import { Empty, Head, Lamp, Since, Waiting, watchPath } from "../ui/parts";
import { Picture } from "../ui/picture";
import { count } from "../ui/time";

export function Directory(): JSX.Element {
  useTitle("Live now");
  const who = useWho();
  const own = who.phase === "in" ? "/streams" : "/register";
  const { data, error, refetch } = useQuery(directory);
  const streams = [...(data?.items ?? [])].sort((a, b) => (b.live?.viewers ?? 0) - (a.live?.viewers ?? 0));
  return (
    <section>
      <Head
        title="Live now"
        lead={streams.length > 0 ? `${count(streams.length, "stream is", "streams are")} on air.` : undefined}
      >
        {streams.length > 0 && (
          <a class="button" href={own}>
            Go live yourself
          </a>
        )}
      </Head>
      {data === undefined && <Refusal problem={error} again={() => void refetch()} />}
      {data === undefined && error === null && <Waiting rows={6} what="Looking for live streams" />}
      {data && streams.length === 0 && <Nobody own={own} />}
      <ul class="cards">
        {streams.map((stream) => (
          <li key={stream.id}>
            <Card stream={stream} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Card({ stream }: { stream: Stream }): JSX.Element {
  return (
    <a class="card" href={watchPath(stream)}>
      <div class="card-picture">
        <Picture id={stream.id} title={stream.title} />
        <Lamp on />
        <span class="card-viewers">{count(stream.live?.viewers ?? 0, "viewer")}</span>
      </div>
      <span class="title">{stream.title}</span>
      <span class="soft">
        {stream.owner_name}
        {stream.live && (
          <>
            {" · started "}
            <Since of={stream.live} />
          </>
        )}
      </span>
    </a>
  );
}

function Nobody({ own }: { own: string }): JSX.Element {
  return (
    <Empty icon="live" title="Nobody is live right now">
      <p>This page looks again by itself. Or be the first: a camera and a browser are enough.</p>
      <a class="button primary" href={own}>
        Go live yourself
      </a>
    </Empty>
  );
}
