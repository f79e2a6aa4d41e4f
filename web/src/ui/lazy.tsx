import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Refusal } from "./notice";
import { Waiting } from "./parts";

/** A page whose script is loaded when it is first shown. One that cannot be loaded offers to reload: after an update its file has another name. */
export function lazy<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let ready: ComponentType<P> | undefined;
  return function Lazy(props: P): JSX.Element {
    const [, set] = useState(0);
    const [problem, setProblem] = useState<unknown>();
    useEffect(() => {
      if (ready) return;
      load().then(
        (loaded) => {
          ready = loaded;
          set((turn) => turn + 1);
        },
        () => setProblem(new Error("This part of the page could not be loaded.")),
      );
    }, []);
    if (problem !== undefined) return <Refusal problem={problem} again={() => location.reload()} />;
    const Page = ready;
    return Page ? <Page {...props} /> : <Waiting />;
  };
}
