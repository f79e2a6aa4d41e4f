/** A table of all that the cluster has of one kind: waited for, refused, empty, and gone on with page by page. */
import type { ComponentChildren, JSX } from "preact";
import { Refusal } from "../../ui/notice";
import { More, Scroll, Waiting } from "../../ui/parts";

interface Pages<T> {
  data: { pages: { items: T[] }[] } | undefined;
  error: unknown;
  refetch: () => unknown;
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => unknown;
}

/** Heads with what stands below each. */
export type Columns<T> = Record<string, (item: T) => ComponentChildren>;

export function Listing<T extends { id: string | number }>({
  label,
  query,
  columns,
  order = (items) => items,
  empty,
}: {
  /** What they are, as in "Loading …". */
  label: string;
  query: Pages<T>;
  columns: Columns<T>;
  order?: (items: T[]) => T[];
  empty?: JSX.Element;
}): JSX.Element {
  if (query.data === undefined)
    return query.error ? (
      <Refusal problem={query.error} again={() => void query.refetch()} />
    ) : (
      <Waiting what={`Loading ${label}`} />
    );
  const items = query.data.pages.flatMap((page) => page.items);
  if (items.length === 0 && empty) return empty;
  const cells = Object.entries(columns);
  return (
    <div>
      <Scroll label={label} panel>
        <table>
          <thead>
            <tr>
              {cells.map(([head]) => (
                <th key={head}>{head}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {order(items).map((item) => (
              <tr key={item.id}>
                {cells.map(([head, cell]) => (
                  <td key={head}>{cell(item)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      <More query={query} />
    </div>
  );
}
