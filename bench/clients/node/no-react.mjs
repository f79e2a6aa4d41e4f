export const useState = () => [];
export const useRef = () => ({});
export const useEffect = () => {};
export const useCallback = (callback) => callback;
export const jsx = () => null;
export const jsxs = jsx;
export default {};
