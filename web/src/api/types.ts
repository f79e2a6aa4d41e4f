/** Short names for control-api's bodies. The types themselves are made from its own description (`scripts/types.mjs`). */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type AccessToken = Schemas["AccessToken"];
export type AuditEntry = Schemas["AuditEntry"];
export type Broadcast = Schemas["Broadcast"];
export type ControlInfo = Schemas["ControlInfo"];
export type EdgeInfo = Schemas["EdgeInfo"];
export type EndReason = Schemas["EndReason"];
export type IssuedToken = Schemas["IssuedToken"];
export type EnrolNode = Schemas["EnrolNode"];
export type Ingest = Schemas["Ingest"];
export type NewNode = Schemas["NewNode"];
export type NewStream = Schemas["NewStream"];
export type NewUser = Schemas["NewUser"];
export type Node = Schemas["Node"];
export type Protocol = Schemas["Protocol"];
export type Route = Schemas["Route"];
export type RouteNode = Schemas["RouteNode"];
export type Sample = Schemas["Sample"];
/** As lists have it, with what it carries. */
export type Session = Schemas["SessionRead"];
export type Stream = Schemas["Stream"];
export type Token = Schemas["Token"];
export type UpdateUser = Schemas["UpdateUser"];
export type User = Schemas["User"];
export type Visibility = Schemas["Visibility"];
