/** Every stream of the cluster, live ones first. */
import { useInfiniteQuery } from "@tanstack/preact-query";
import type { JSX } from "preact";
import { allStreams } from "../../api/queries";
import type { Stream } from "../../api/types";
import { Empty, Lamp, Ticking, VisibilityTag } from "../../ui/parts";
import { ago } from "../../ui/time";
import { protocolName } from "../../ui/words";
import { type Columns, Listing } from "./listing";

const COLUMNS: Columns<Stream> = {
  Stream: ({ id, title, visibility }) => (
    <>
      <a href={`/admin/streams/${id}`}>{title}</a> <VisibilityTag of={visibility} />
    </>
  ),
  Owner: ({ owner_name }) => owner_name,
  Now: ({ live }) => <Lamp on={Boolean(live)} />,
  Viewers: ({ live }) => live?.viewers ?? "–",
  Node: ({ live }) => (live ? <a href={`/admin/nodes/${live.node}`}>{live.node}</a> : "–"),
  By: ({ live }) => (live ? protocolName(live.protocol) : "–"),
  Made: ({ created_at }) => <Ticking text={() => ago(created_at)} />,
};

export function AllStreams(): JSX.Element {
  return (
    <Listing
      label="streams"
      query={useInfiniteQuery(allStreams)}
      columns={COLUMNS}
      order={(items) => [...items].sort((a, b) => Number(Boolean(b.live)) - Number(Boolean(a.live)))}
      empty={
        <Empty icon="live" title="No streams yet">
          <p>As soon as somebody makes one it is listed here.</p>
        </Empty>
      }
    />
  );
}
