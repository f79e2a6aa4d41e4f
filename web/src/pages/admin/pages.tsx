/** The operators' pages, loaded together: whoever opens one opens others. */
export { Admin } from "./admin";
export { Enrol } from "./enrol";
export { NodePage } from "./node";
export { Placement } from "./placement";
