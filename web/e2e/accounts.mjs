/** What people do about passwords and accounts, as whoever has one and as an operator. */
import { createStream, goLive, open, PASSWORD, register, signIn } from "./browser.mjs";

const CAMERA = { permissions: ["camera", "microphone"] };
const SECOND = "a second long password";
const THIRD = "and now a third one";

/** Change the password; forget it and get a link; be disabled while live, and enabled again; become an operator. */
export async function accounts({ browser, base, said, step, shot, admin }) {
  const page = await open(browser, said, CAMERA);
  const email = await register(page, base);
  const id = await createStream(page, "Of somebody who leaves");
  const other = await open(browser, said);
  await signIn(other, base, email);
  await other.getByRole("heading", { name: "My streams" }).waitFor();

  step("change the password, first with a wrong one");
  await page.goto(`${base}/account`);
  await change(page, "not the password", SECOND);
  await page.getByText("The current password is wrong").waitFor();
  await change(page, PASSWORD, SECOND);
  await page.getByText("The password is changed").waitFor();
  await shot(page, "password-changed");
  step("the other browser is signed out, and the old password is no good");
  await other.reload();
  await other.getByText("Your sign-in has ended").waitFor();
  await signIn(other, base, email);
  await other.getByText("E-mail or password is wrong").waitFor();

  step("an operator makes a reset link");
  const operator = await open(browser, said);
  await signIn(operator, base, admin.email, admin.password);
  await operator.getByRole("heading", { name: "My streams" }).waitFor();
  await operator.goto(`${base}/admin/users`);
  await operator.getByRole("button", { name: `Change ${email}` }).click();
  const dialog = operator.getByRole("dialog");
  await dialog.getByRole("button", { name: "Make a reset link" }).click();
  const link = await dialog.locator("code.secret").textContent();
  await shot(operator, "admin-account");
  step("the link sets a password, once");
  await other.goto(link);
  await other.getByLabel("New password").fill(THIRD);
  await other.getByRole("button", { name: "Set the password" }).click();
  await other.getByText("The password is set").waitFor();
  await other.goto(`${base}/`);
  await other.goto(link);
  await other.getByLabel("New password").fill(SECOND);
  await other.getByRole("button", { name: "Set the password" }).click();
  await other.getByText("This code is not known").waitFor();
  await shot(other, "reset-refused");

  step("somebody new is made and begins by the link");
  await dialog.getByRole("button", { name: "Close" }).click();
  const invited = `invited-${Date.now()}@example.com`;
  await operator.getByLabel("Somebody new").fill(invited);
  await operator.getByRole("button", { name: "Make an account" }).click();
  const invitation = await operator.locator("code.secret").textContent();
  await shot(operator, "admin-invited");
  await other.goto(`${base}/`);
  await other.goto(invitation);
  await other.getByLabel("New password").fill(SECOND);
  await other.getByRole("button", { name: "Set the password" }).click();
  await other.getByRole("link", { name: "Sign in", exact: true }).last().click();
  await other.getByLabel("E-mail").fill(invited);
  await other.getByLabel("Password").fill(SECOND);
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("heading", { name: "My streams" }).waitFor();
  await other.context().clearCookies();
  await other.goto(`${base}/`);

  step("go live with the new password");
  await signIn(page, base, email, THIRD);
  await page.getByRole("heading", { name: "My streams" }).waitFor();
  await page.goto(`${base}/streams/${id}`);
  await goLive(page);
  step("the operator disables the account: the stream ends, and nobody signs in");
  await operator.getByRole("button", { name: `Change ${email}` }).click();
  await dialog.getByRole("button", { name: "Disable" }).click();
  await dialog.getByRole("button", { name: "Enable" }).waitFor();
  await shot(operator, "admin-account-disabled");
  await page.locator('[data-phase="live"]').waitFor({ state: "detached" });
  await signIn(other, base, email, THIRD);
  await other.getByText("This account is disabled").waitFor();
  step("enabled again, and an operator");
  await dialog.getByRole("button", { name: "Enable" }).click();
  await dialog.getByRole("button", { name: "Disable" }).waitFor();
  await dialog.getByRole("button", { name: "Make an operator" }).click();
  await dialog.getByRole("button", { name: "Make a user" }).waitFor();
  await other.getByRole("button", { name: "Sign in" }).click();
  await other.getByRole("heading", { name: "My streams" }).waitFor();
  await other.getByRole("link", { name: "Cluster" }).waitFor();
  await Promise.all([page, other, operator].map((each) => each.context().close()));
}

async function change(page, current, next) {
  await page.getByLabel("Current password").fill(current);
  await page.getByLabel("New password").fill(next);
  await page.getByRole("button", { name: "Change password" }).click();
}
