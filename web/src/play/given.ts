/** What came with the link, behind `#token=`, where no server logs it. */
export function givenToken(): string | undefined {
  return new URLSearchParams(location.hash.slice(1)).get("token") ?? undefined;
}
