/** What is done in real browsers, each a function of one running cluster. `step` names where it stands, for whoever reads a failure. */
import { createStream, figures, goLive, open, PASSWORD, plays, register, rises, signIn } from "./browser.mjs";
import { open_pages, operator_pages, own_pages, pictures, violations } from "./pictures.mjs";

/** Fewest frames a second that count as a picture that moves: a loaded two-core machine decodes 30 in good times. */
const LEAST_FPS = 5;
/** Fewest audio packets a second; Opus sends 50. */
const LEAST_AUDIO = 20;
const CAMERA = { permissions: ["camera", "microphone", "clipboard-read", "clipboard-write"] };

/** Register, create, watch before it is live, go live, watch, find it, rotate the key, kick, and read the history. */
export async function live({ browser, base, said, step, shot, seconds }) {
  const publisher = await open(browser, said, CAMERA);
  const viewer = await open(browser, said);

  step(`load ${base}`);
  await publisher.goto(`${base}/`);
  await publisher.getByRole("heading", { name: "Live now" }).waitFor();
  step("register");
  const email = await register(publisher, base, shot);
  step("create a stream");
  const title = `Evening show ${Date.now() % 100_000}`;
  const id = await createStream(publisher, title);
  const shown = await publisher.getByTestId("new-key").locator("code").first().textContent();
  if (!shown?.startsWith("sk_")) throw new Error(`the stream key shown is ${shown}`);
  await shot(publisher, "new-key");
  step("stay signed in over a reload; the key is not shown again");
  await publisher.reload();
  await publisher.getByRole("heading", { name: title }).waitFor();
  if ((await publisher.getByTestId("new-key").count()) > 0) throw new Error("the key is shown again after a reload");

  step("wait for a stream that is not live");
  await viewer.goto(`${base}/watch/${id}`);
  await viewer.getByText("Not live yet").waitFor();
  step("go live");
  const started = Date.now();
  await goLive(publisher);
  await rises(publisher, "frames", 1);
  step("look at other pages while live, and come back");
  await publisher.getByRole("link", { name: "Overview" }).click();
  await publisher.getByText("You are publishing from this window").waitFor();
  await shot(publisher, "live-elsewhere");
  await publisher.getByRole("link", { name: "Go back" }).click();
  await publisher.locator('[data-phase="live"]').waitFor();
  step("watch");
  await rises(viewer, "frames", 1);
  const firstFrameMs = Date.now() - started;
  const before = await figures(viewer);
  await viewer.waitForTimeout(seconds * 1000);
  const after = await figures(viewer);
  await Promise.all([shot(publisher, "golive-live"), shot(viewer, "watch-live")]);
  const frames = after.frames - before.frames;
  const audio = after.audio - before.audio;
  if (frames < LEAST_FPS * seconds) throw new Error(`${frames} frames decoded in ${seconds} s`);
  if (audio < LEAST_AUDIO * seconds) throw new Error(`${audio} audio packets received in ${seconds} s`);
  if (!(after.latency >= 0)) throw new Error("no delay is shown");
  const wrong = await violations(viewer);
  if (wrong.length > 0) throw new Error(wrong.join("; "));

  step("sound on");
  await viewer.getByRole("button", { name: "Sound on" }).click();
  if (await viewer.locator(".stage video").evaluate((video) => video.muted)) throw new Error("still muted");

  step("find it in the directory, on a phone");
  const visitor = await open(browser, said, { viewport: { width: 360, height: 740 }, colorScheme: "dark" });
  await visitor.goto(`${base}/`);
  await visitor.getByRole("link", { name: title }).click();
  await plays(visitor);
  const wide = await visitor.evaluate(() => document.documentElement.scrollWidth);
  if (wide > 360) throw new Error(`the page is ${wide} px wide on a phone of 360 px`);
  await visitor.context().close();

  step("embedded in another page");
  const frame = await open(browser, said);
  const body = `<iframe src="${base}/embed/${id}" width="640" height="360" allow="autoplay"></iframe>`;
  await frame.route("http://elsewhere.test/", (route) => route.fulfill({ contentType: "text/html", body }));
  await frame.goto("http://elsewhere.test/");
  const stage = frame.frameLocator("iframe").locator('.stage[data-flowing="true"]');
  await stage.waitFor();
  const { height } = await stage.boundingBox();
  if (height !== 360) throw new Error(`the player is ${height} px high in a frame of 360 px`);
  await frame.context().close();

  step("rotate the key");
  const owner = await publisher.context().newPage();
  await owner.goto(`${base}/streams/${id}/settings`);
  await owner.getByRole("button", { name: "Make a new key" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Make a new key" }).click();
  const next = await owner.getByTestId("new-key").locator("code").first().textContent();
  if (!next?.startsWith("sk_") || next === shown) throw new Error(`the new key is ${next}`);
  await owner.getByText("The key before this one works until").waitFor();

  step("kick the publisher");
  await owner.getByRole("link", { name: "Viewers" }).click();
  await owner.locator('tr[data-role="play"]').first().waitFor();
  await owner.locator('tr[data-role="publish"]').getByRole("button", { name: "Kick" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Kick" }).click();
  await owner.locator('tr[data-role="publish"]').waitFor({ state: "detached" });
  await publisher.getByText("ended by its owner or an operator").waitFor();
  await viewer.getByText("The stream has ended").waitFor();

  step("the broadcast is in the history");
  await owner.getByRole("link", { name: "History" }).click();
  const row = owner.locator(".broadcast").first();
  await row.getByText("Ended by the owner or an operator").waitFor();
  await row.locator(".peak strong").waitFor();
  await shot(owner, "history-kicked");

  step("sign out everywhere");
  await owner.goto(`${base}/account`);
  await owner.getByRole("button", { name: "Sign out everywhere" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Sign out everywhere" }).click();
  await owner.getByRole("link", { name: "Sign in" }).waitFor();
  step("a wrong password is told at the form");
  await signIn(owner, base, email, "not my password");
  await owner.getByText("E-mail or password is wrong").waitFor();
  await Promise.all([publisher, viewer].map((page) => page.context().close()));
  return {
    stream: id,
    seconds,
    frames_video: frames,
    frames_audio: audio,
    first_frame_ms: firstFrameMs,
    kbps: after.kbps,
  };
}

/** A private stream: refused without a token, played with a share link, refused again when that is taken back. */
export async function share({ browser, base, said, step, shot }) {
  const publisher = await open(browser, said, CAMERA);
  step("a private stream, live");
  await register(publisher, base);
  const id = await createStream(publisher, "Family", "Private");
  await goLive(publisher);
  step("a stranger is refused");
  const stranger = await open(browser, said);
  await stranger.goto(`${base}/watch/${id}`);
  await stranger.getByText("This stream is private").waitFor();
  await stranger.getByRole("link", { name: "Sign in" }).nth(1).waitFor();
  await shot(stranger, "watch-private");
  step("the owner needs no link");
  const owner = await publisher.context().newPage();
  await owner.goto(`${base}/watch/${id}`);
  await plays(owner);
  step("make a share link and watch with it");
  await owner.goto(`${base}/streams/${id}`);
  await owner.getByRole("button", { name: "Make a share link" }).click();
  const link = await owner.locator("code.secret").first().textContent();
  await stranger.goto("about:blank");
  await stranger.goto(link);
  await plays(stranger);
  step("take the link back");
  await shot(owner, "share-links");
  await owner.getByRole("button", { name: "Take back" }).click();
  await stranger.getByText("This stream is private").waitFor();
  await Promise.all([publisher, stranger].map((page) => page.context().close()));
}

/** An ended sign-in, and control-api away. */
export async function away({ browser, base, said, step, shot }) {
  const page = await open(browser, said, CAMERA);
  await register(page, base);
  const id = await createStream(page, "Still here");
  await goLive(page);
  const viewer = await open(browser, said);
  await viewer.goto(`${base}/watch/${id}`);
  await plays(viewer);

  step("control-api away: said, and what plays goes on");
  await viewer.route("**/api/**", (route) => route.abort());
  await viewer.getByText("Keystone does not answer right now").waitFor();
  await plays(viewer);
  await shot(viewer, "watch-away");
  await viewer.unroute("**/api/**");
  await viewer.getByText("Keystone does not answer right now").waitFor({ state: "detached" });

  step("a page that is opened while it is away comes by itself");
  const late = await open(browser, said);
  await late.route("**/api/**", (route) => route.fulfill({ status: 502, body: "<html>Bad gateway</html>" }));
  await late.goto(`${base}/`);
  await late.getByText("Keystone does not answer right now").waitFor();
  await shot(late, "directory-away");
  await late.unroute("**/api/**");
  await late.getByRole("link", { name: "Still here" }).waitFor();

  step("an ended sign-in asks for another, and goes back to the page");
  const other = await open(browser, said);
  const email = await register(other, base);
  await other.goto(`${base}/account`);
  // The page has its new cookie by then: one that comes after the clearing would be a sign-in again.
  await other.getByRole("heading", { name: "Account", exact: true }).waitFor();
  await other.context().clearCookies();
  await other.goto(`${base}/account`);
  await other.getByText("Your sign-in has ended").waitFor();
  await other.getByLabel("E-mail").fill(email);
  await other.getByLabel("Password").fill(PASSWORD);
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("heading", { name: "Account", exact: true }).waitFor();
  await Promise.all([page, viewer, late, other].map((each) => each.context().close()));
}

/** A node is killed, then another drained from the page; the viewer plays again by itself each time. */
export async function nodes({ browser, base, said, step, shot, admin, killNode }) {
  const publisher = await open(browser, said, CAMERA);
  await register(publisher, base);
  const id = await createStream(publisher, "Moves about");
  await goLive(publisher);
  const viewer = await open(browser, said);
  await viewer.goto(`${base}/watch/${id}`);
  await plays(viewer);
  const operator = await open(browser, said);
  await signIn(operator, base, admin.email, admin.password);
  await operator.getByRole("heading", { name: "My streams" }).waitFor();
  const home = async () => {
    await operator.goto(`${base}/admin/streams/${id}`);
    return (await operator.locator(".ring li", { hasText: "The stream is here" }).locator("a").textContent()).trim();
  };

  step("kill the stream's node");
  const first = await home();
  const killed = Date.now();
  killNode(first);
  await operator.locator(".ring li", { hasText: "The stream is here" }).locator("a", { hasNotText: first }).waitFor();
  await plays(viewer);
  const againMs = Date.now() - killed;
  await publisher.locator('[data-phase="live"]').waitFor();

  step("wait until the killed node is up again");
  await operator.goto(`${base}/admin/nodes/${first}`);
  await operator.locator(".head .tag", { hasText: "Up" }).waitFor({ timeout: 60_000 });

  step("drain the other from the page");
  const second = await home();
  await operator.goto(`${base}/admin/nodes/${second}`);
  await operator.getByRole("button", { name: "Drain" }).click();
  const dialog = operator.getByRole("dialog");
  await dialog.getByLabel("What is left is ended after").selectOption("10");
  await dialog.getByRole("button", { name: "Drain" }).click();
  const drain = operator.getByTestId("drain");
  await drain.getByText("left").first().waitFor();
  await shot(operator, "admin-draining");
  await drain.getByText("Nothing is left on this node").waitFor({ timeout: 60_000 });
  step("play again on the node that is left");
  await plays(viewer);
  if ((await home()) !== first) throw new Error("the stream is not on the node that was left");
  await operator.goto(`${base}/admin/nodes/${second}`);
  await operator.getByRole("button", { name: "Take streams again" }).click();
  await operator.locator(".head .tag", { hasText: "Up" }).waitFor();
  await Promise.all([publisher, viewer, operator].map((page) => page.context().close()));
  return { again_after_kill_ms: againMs };
}

/** Where UDP is blocked the page says so and plays by HLS; chosen by hand it does too. */
export async function hls({ browser, blocked, base, said, step, shot }) {
  const publisher = await open(browser, said, CAMERA);
  await register(publisher, base);
  const id = await createStream(publisher, "Behind a wall");
  await goLive(publisher);
  step("fall back to HLS");
  const viewer = await open(blocked, said);
  // The edges offer TCP besides UDP, which this wall does not let out either.
  await viewer.addInitScript(() => {
    const take = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
      return take.call(this, { type: answer.type, sdp: answer.sdp.replace(/^a=candidate:\S+ \d+ tcp .*\r?\n/gim, "") });
    };
  });
  await viewer.goto(`${base}/watch/${id}`);
  await viewer.locator('.stage[data-way="hls"]').waitFor();
  await viewer.getByText("Playing by HLS").waitFor();
  await viewer.locator('.stage[data-flowing="true"]').waitFor({ timeout: 40_000 });
  // Past the first segments, in which SRS may have no sound yet.
  await plays(viewer, 150, 60_000);
  await viewer.locator('.stage[data-flowing="true"]').waitFor();
  await shot(viewer, "watch-hls");
  step("choose HLS, and low latency again");
  const chooser = await open(browser, said);
  await chooser.goto(`${base}/watch/${id}`);
  await plays(chooser);
  await chooser.getByLabel("Play by").selectOption("hls");
  await chooser.locator('.stage[data-way="hls"][data-flowing="true"]').waitFor({ timeout: 40_000 });
  await plays(chooser, 60, 40_000);
  await chooser.getByLabel("Play by").selectOption("webrtc");
  await chooser.locator('.stage[data-way="webrtc"][data-flowing="true"]').waitFor();
  await Promise.all([publisher, viewer, chooser].map((page) => page.context().close()));
}

/** Camera, microphone and screen changed while live: the publisher's session goes on, and so does the viewer's. */
export async function devices({ browser, base, said, step, shot }) {
  const publisher = await open(browser, said, CAMERA);
  await publisher.addInitScript(keepsDevices);
  const sessions = [];
  const viewer = await open(browser, said);
  for (const page of [publisher, viewer])
    page.on("request", (asked) => asked.method() === "POST" && asked.url().includes("/rtc/") && sessions.push(page));
  await register(publisher, base);
  const id = await createStream(publisher, "Show and tell");
  await goLive(publisher);
  await viewer.goto(`${base}/watch/${id}`);
  await plays(viewer);
  await sends(publisher, "video", "fake_device_0");

  step("another camera and another microphone, which stays muted");
  await publisher.getByRole("button", { name: "Mute" }).click();
  await publisher.getByLabel("Camera").selectOption({ label: "fake_device_2" });
  await sends(publisher, "video", "fake_device_2");
  await publisher.getByLabel("Microphone").selectOption({ label: "Fake Audio Input 2" });
  await sends(publisher, "audio", "Fake Audio Input 2", false);
  await publisher.getByRole("button", { name: "Unmute" }).click();
  await sends(publisher, "audio", "Fake Audio Input 2");
  await plays(viewer);

  step("a screen that is not given changes nothing");
  await publisher.evaluate(() => {
    window.keeps.refused = true;
  });
  await publisher.getByRole("button", { name: "Share a screen instead" }).click();
  await publisher.getByText("No screen was shared").waitFor();
  await sends(publisher, "video", "fake_device_2");
  await shot(publisher, "screen-refused");

  step("a screen, with the microphone that was chosen");
  await publisher.getByRole("button", { name: "Share a screen instead" }).click();
  await sends(publisher, "video", "screen");
  await sends(publisher, "audio", "Fake Audio Input 2");
  await publisher.getByText("No screen was shared").waitFor({ state: "detached" });
  await plays(viewer);
  await shot(publisher, "golive-screen");
  step("another microphone does not ask for the screen again");
  await publisher.getByLabel("Microphone").selectOption({ label: "Fake Audio Input 1" });
  await sends(publisher, "audio", "Fake Audio Input 1");
  await sends(publisher, "video", "screen");
  const asked = await publisher.evaluate(() => window.keeps.asked);
  if (asked !== 2) throw new Error(`the browser was asked for a screen ${asked} times`);
  step("the camera again");
  await publisher.getByRole("button", { name: "Use the camera instead" }).click();
  await sends(publisher, "video", "fake_device_2");
  await plays(viewer);
  if (sessions.length !== 2) throw new Error(`${sessions.length} sessions, where one was published and one played`);

  step("a screen that the browser ends, ends the broadcast");
  await publisher.getByRole("button", { name: "Share a screen instead" }).click();
  await sends(publisher, "video", "screen");
  await publisher.evaluate(() => window.keeps.screen.dispatchEvent(new Event("ended")));
  await publisher.getByText("ended outside of this page, and the broadcast with it").waitFor();
  await viewer.getByText("The stream has ended").waitFor();

  step("begun without sound");
  await publisher.getByLabel("Microphone").selectOption("");
  await publisher.evaluate(() => {
    window.keeps.silent = true;
  });
  await publisher.getByRole("button", { name: "Share a screen" }).click();
  await publisher.locator('[data-phase="idle"]').waitFor();
  if ((await publisher.getByRole("button", { name: "Mute" }).count()) > 0) throw new Error("there is sound to mute");
  await publisher.getByRole("button", { name: "Go live" }).click();
  await publisher.locator('[data-phase="live"]').waitFor();
  await plays(viewer);
  const session = sessions.length;
  step("and sound comes later");
  await publisher.evaluate(() => {
    window.keeps.silent = false;
  });
  await publisher.getByRole("button", { name: "Use the camera instead" }).click();
  await sends(publisher, "audio", "Fake Default Audio Input");
  step("which the viewer gets in the session that it has");
  // Silence comes as packets too; figures are there with the first reading.
  await rises(viewer, "audio", 1);
  const heard = (await figures(viewer)).audio;
  await rises(viewer, "audio", heard + 50);
  await plays(viewer);
  if (sessions.length !== session) throw new Error("sound took another session");
  await Promise.all([publisher, viewer].map((page) => page.context().close()));
}

/** Runs in the page: keeps its connections, and can refuse a screen once or take all sound away. */
function keepsDevices() {
  const keeps = { connections: [], asked: 0, refused: false, silent: false, screen: undefined };
  window.keeps = keeps;
  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Connection {
    constructor(...given) {
      super(...given);
      keeps.connections.push(this);
    }
  };
  const { mediaDevices } = navigator;
  const [display, user] = [mediaDevices.getDisplayMedia, mediaDevices.getUserMedia];
  mediaDevices.getDisplayMedia = async (wish) => {
    keeps.asked++;
    const { refused } = keeps;
    keeps.refused = false;
    if (refused) throw new DOMException("Permission denied", "NotAllowedError");
    const media = await display.call(mediaDevices, keeps.silent ? { ...wish, audio: false } : wish);
    keeps.screen = media.getVideoTracks()[0];
    return media;
  };
  mediaDevices.getUserMedia = async (wish) => {
    if (keeps.silent) throw new DOMException("Requested device not found", "NotFoundError");
    return user.call(mediaDevices, wish);
  };
}

/** Waits until the page's connection sends from a device of this name, or mutely. */
async function sends(page, kind, name, enabled = true) {
  await page.waitForFunction(
    ([wanted, label, on]) =>
      window.keeps.connections.some(
        (connection) =>
          connection.connectionState === "connected" &&
          connection
            .getSenders()
            .some(({ track }) => track?.kind === wanted && track.label.startsWith(label) && track.enabled === on),
      ),
    [kind, name, enabled],
  );
}

/** Every page, looked at and judged. */
export async function looks({ browser, base, said, step, admin, folder }) {
  const publisher = await open(browser, said, CAMERA);
  await register(publisher, base);
  const quiet = await createStream(publisher, "Rehearsal room", "Private");
  await publisher.getByRole("link", { name: "My streams" }).first().click();
  const id = await createStream(publisher, "Evening show");
  await goLive(publisher);
  const viewer = await open(browser, said);
  await viewer.goto(`${base}/watch/${id}`);
  await plays(viewer);
  step("a streamer's pages");
  const wrong = await pictures(await publisher.context().newPage(), base, folder, own_pages(id, quiet));
  step("an operator's pages");
  const operator = await open(browser, said);
  await signIn(operator, base, admin.email, admin.password);
  await operator.getByRole("heading", { name: "My streams" }).waitFor();
  wrong.push(...(await pictures(operator, base, folder, operator_pages(id))));
  step("everybody's pages");
  wrong.push(...(await pictures(await open(browser, said), base, folder, open_pages(id))));
  if (wrong.length > 0) throw new Error(wrong.join("\n"));
  await Promise.all([publisher, viewer, operator].map((page) => page.context().close()));
}
