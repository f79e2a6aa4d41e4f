/** `/admin` and the lists below it. */
import type { JSX } from "preact";
import { useHearing } from "../../api/news";
import { type AdminTab, useTitle } from "../../router";
import { Head, State, Tabs } from "../../ui/parts";
import { Audit, Users } from "./accounts";
import { Events } from "./events";
import { Fleet } from "./fleet";
import { Overview } from "./overview";
import { AllStreams } from "./streams";

const TABS: [string, string][] = [
  ["/admin", "Nodes"],
  ["/admin/streams", "Streams"],
  ["/admin/fleet", "Edges and controls"],
  ["/admin/events", "Events"],
  ["/admin/audit", "Audit log"],
  ["/admin/users", "Users"],
];

export function Admin({ tab }: { tab: AdminTab }): JSX.Element {
  useTitle("Cluster");
  const hearing = useHearing();
  return (
    <section>
      <Head title="Cluster">
        <State is={hearing ? "Up to date" : "Not hearing news"} tone={hearing ? "good" : "warn"} />
      </Head>
      <Tabs label="Cluster" tabs={TABS} now={tab === "overview" ? "/admin" : `/admin/${tab}`} />
      <Tab tab={tab} />
    </section>
  );
}

function Tab({ tab }: { tab: AdminTab }): JSX.Element {
  switch (tab) {
    case "overview":
      return <Overview />;
    case "streams":
      return <AllStreams />;
    case "fleet":
      return <Fleet />;
    case "events":
      return <Events />;
    case "audit":
      return <Audit />;
    case "users":
      return <Users />;
  }
}
