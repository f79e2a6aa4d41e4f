import { describe, expect, test } from "vitest";
import { problemOf, seconds } from "../src/api/problem";
import { words } from "../src/ui/notice";

describe("problemOf", () => {
  test("takes code, detail and Retry-After of a problem body", async () => {
    const body = JSON.stringify({
      type: "urn:keystone:stream-busy",
      title: "Busy",
      status: 409,
      detail: "somebody publishes the stream",
      code: "stream-busy",
    });
    const problem = await problemOf(new Response(body, { status: 409, headers: { "Retry-After": "3" } }));
    expect(problem).toMatchObject({
      status: 409,
      code: "stream-busy",
      message: "somebody publishes the stream",
      retryAfter: 3,
    });
    expect(words(problem)).toBe("Somebody publishes the stream.");
  });

  test.each(["<html>Bad gateway</html>", "", "null", '"text"', "[1"])(
    "makes do with the status of a proxy's page %j",
    async (body) => {
      const problem = await problemOf(new Response(body, { status: 502 }));
      expect(problem).toMatchObject({ status: 502, code: "http-502", retryAfter: undefined });
      expect(problem.message).toContain("502");
    },
  );
});

test.each([
  [null, undefined],
  ["", undefined],
  ["soon", undefined],
  ["2", 2],
  ["-5", 0],
  ["Tue, 24 Nov 2026 00:00:10 GMT", 10],
  ["Mon, 23 Nov 2026 00:00:00 GMT", 0],
])("Retry-After %j is %j s", (value, expected) => {
  expect(seconds(value, Date.parse("2026-11-24T00:00:00Z"))).toBe(expected);
});
