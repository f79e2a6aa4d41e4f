import { useEffect, useState } from "preact/hooks";

/** A value that lives outside of components, read again whenever its owner calls back. */
export function useStore<T>(subscribe: (listener: () => void) => () => void, get: () => T): T {
  const [value, set] = useState(get);
  useEffect(() => {
    const read = () => set(() => get());
    // It may have changed before this listened.
    read();
    return subscribe(read);
  }, []);
  return value;
}
