// The example `login` in Chromium. Arguments: a scenario below, the port of the service, the program of the browser, and a
// folder for screenshots. The passwords are in the environment. Ends with status 1 and the reason on stderr.
//
// The page is at http://localhost, where Chromium accepts `Secure` cookies without TLS.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';

import { chromium } from 'playwright-core';

const [scenario, port, executablePath, screenshots] = process.argv.slice(2);
const { ALICE_PASSWORD, ADMIN_PASSWORD } = process.env;
const site = `http://localhost:${port}`;
const ACCESS = '__Host-access';
const REFRESH = '__Secure-refresh';

const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu'] });

setTimeout(() => {
  console.error(`${scenario} takes longer than two minutes`);
  process.exit(1);
}, 120_000).unref();

// What the pages have complained about. That something was refused is the point of these tests.
const complaints = [];

async function open(context, path = '/') {
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error}`));
  page.on('console', (message) => {
    const isRefusal = message.text().startsWith('Failed to load resource: the server responded with a status of 4');
    if (message.type() === 'error' && !isRefusal) complaints.push(`${page.url()}: ${message.text()}`);
  });
  await page.goto(site + path);
  return page;
}

async function logIn(page, name = 'alice', password = ALICE_PASSWORD) {
  await page.fill('[name=username]', name);
  await page.fill('[name=password]', password);
  await page.click('text=Log in');
}

const who = (page) => page.waitForSelector('#inside:not([hidden]) #who:has-text("alice")');
const loggedOut = (page) => page.waitForSelector('#login:not([hidden])');
const says = (page, text) => page.waitForSelector(`#message:has-text("${text}")`);
const rows = (page, count) => page.waitForFunction((n) => document.querySelectorAll('tbody tr').length === n, count);
const show = (page, name) => page.screenshot({ path: `${screenshots}/${name}.png` });

// As `waitForFunction`, for what is a promise: that one would take the promise itself for a yes.
const until = (page, condition) => page.evaluate(`(async () => {
  const end = Date.now() + 30_000;
  while (!await (${condition})()) {
    if (Date.now() > end) throw new Error(${JSON.stringify(String(condition))});
    await new Promise((next) => setTimeout(next, 20));
  }
})()`);

// What the page itself would be answered.
const get = (page, path) => page.evaluate(async (p) => (await fetch(p)).json(), path);

const jar = async (context) => Object.fromEntries((await context.cookies(`${site}/session`)).map((c) => [c.name, c]));

const left = (page) => page.evaluate(() => Number(/in (\d+) seconds/.exec(document.getElementById('countdown').textContent)?.[1] ?? 0));

const scenarios = {
  async page() {
    const context = await browser.newContext();
    const page = await open(context);
    await loggedOut(page);
    await show(page, 'login');
    await logIn(page, 'alice', 'wrong');
    await says(page, 'User and password do not match.');
    await show(page, 'wrong-password');
    assert.deepEqual(await jar(context), {});

    await logIn(page);
    await who(page);
    await rows(page, 1);
    await show(page, 'logged-in');
    assert.equal(await page.textContent('tbody td'), 'page (this one)');
    const cookies = await jar(context);
    assert.deepEqual(Object.keys(cookies).sort(), [ACCESS, REFRESH]);
    for (const [name, path] of [[ACCESS, '/'], [REFRESH, '/session']]) {
      const { httpOnly, secure, sameSite, domain, path: its } = cookies[name];
      assert.deepEqual([httpOnly, secure, sameSite, domain, its], [true, true, 'Strict', 'localhost', path]);
    }
    // No script finds a token, wherever it looks.
    const found = await page.evaluate(() => [document.cookie, localStorage.length, sessionStorage.length, location.search]);
    assert.deepEqual(found, ['', 0, 0, '']);

    const before = await left(page);
    assert.ok(before > 890 && before <= 900, `${before}`);
    await page.waitForFunction((n) => !document.getElementById('countdown').textContent.includes(`${n} `), before);
    assert.ok(await left(page) < before);

    const refreshed = page.waitForResponse((answer) => answer.url().endsWith('/session/refresh'));
    await page.click('text=Refresh now');
    assert.equal((await refreshed).status(), 200);
    await who(page);
    assert.notEqual((await jar(context))[REFRESH].value, cookies[REFRESH].value);

    await page.reload();
    await who(page);
    await page.click('text=Log out');
    await loggedOut(page);
    assert.equal(await page.textContent('#message'), '');
    assert.deepEqual(await jar(context), {});
    await page.reload();
    await loggedOut(page);
  },

  // With access tokens of few seconds.
  async expiry() {
    const context = await browser.newContext();
    const page = await open(context);
    await logIn(page);
    await who(page);
    await page.waitForSelector('#countdown:has-text("has expired")');
    await until(page, async () => (await fetch('/me')).status === 401);
    await show(page, 'expired');
    // Two tabs want a new one at the same time. A refresh token is good once, and both remain logged in.
    const other = await open(context);
    await who(other);
    let isFirst = true;
    await context.route('**/session/refresh', async (route) => {
      const isHeld = isFirst;
      isFirst = false;
      // Until the other tab waits for it.
      if (isHeld) await until(page, async () => (await navigator.locks.query()).pending.length === 1);
      await route.continue();
    });
    const tabs = [page, other];
    const refreshed = tabs.map((tab) => tab.waitForResponse((answer) => answer.url().endsWith('/session/refresh')));
    const listed = tabs.map((tab) => tab.waitForResponse((answer) => answer.url().endsWith('/auth/sessions')));
    for (const tab of tabs) await tab.click('text=Refresh now');
    for (const answer of await Promise.all([...refreshed, ...listed])) assert.equal(answer.status(), 200, answer.url());
    await page.waitForSelector('#countdown:has-text("has expired")');
    await until(page, async () => (await fetch('/me')).status === 401);
    await page.click('text=Log out');
    await loggedOut(page);
  },

  async sessions() {
    const here = await browser.newContext();
    // What a session is called comes from whoever began it.
    const userAgent = 'Phone <img src=/page.css onerror="document.title=1"><script>document.title=2</script>';
    const there = await browser.newContext({ userAgent });
    const page = await open(here);
    const phone = await open(there);
    await logIn(page);
    await who(page);
    await logIn(phone);
    await rows(phone, 2);
    await page.reload();
    await rows(page, 2);
    await show(page, 'two-sessions');
    const line = page.locator('tr', { hasText: 'Phone' });
    assert.equal(await line.locator('td').nth(1).textContent(), userAgent);
    assert.equal(await page.title(), 'Sessions');
    assert.equal(await page.locator('img').count(), 0);

    await line.getByText('End').click();
    await rows(page, 1);
    // The phone has noticed nothing, and does with whatever it does next.
    assert.equal(await phone.isVisible('#inside'), true);
    await phone.click('text=Refresh now');
    await loggedOut(phone);
    await says(phone, 'Your session has ended.');
    await show(phone, 'ended-elsewhere');
    assert.deepEqual(await jar(there), {});

    await page.click('text=End');
    await loggedOut(page);
  },

  async cross_site() {
    const context = await browser.newContext();
    const page = await open(context);
    await logIn(page);
    await who(page);
    const before = await jar(context);

    const form = (path, kind, fields) => `<form method="post" enctype="${kind}" action="${site}${path}">${
      Object.entries(fields).map(([name, value]) => `<textarea name='${name}'>${value}</textarea>`).join('')
    }</form><script>document.forms[0].submit()</script>`;
    const attacks = {
      // Logged in as somebody else, who then reads along.
      '/login': form('/session', 'application/x-www-form-urlencoded', { username: 'admin', password: ADMIN_PASSWORD }),
      '/refresh': form('/session/refresh', 'text/plain', { x: '' }),
      '/task': form('/tasks', 'text/plain', { '{"text":"pay mallory","x":"': '"}' }),
      '/logout': form('/auth/logout', 'text/plain', { x: '' }),
      '/frame': `<iframe src="${site}/"></iframe>`,
      '/': '<title>mallory</title>',
    };
    const server = createServer((request, response) => {
      response.setHeader('content-type', 'text/html').end(attacks[request.url] ?? '');
    });
    await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
    const other = server.address().port;

    // Another site, which the cookies do not go to, and another origin of the same one, which they do.
    for (const [evil, status] of [[`http://127.0.0.1:${other}`, 401], [`http://localhost:${other}`, 403]]) {
      for (const [attack, path, expected] of [
        ['/login', '/session', 403],
        ['/refresh', '/session/refresh', 403],
        ['/task', '/tasks', status],
        ['/logout', '/auth/logout', status],
      ]) {
        const tab = await context.newPage();
        const answered = tab.waitForResponse(site + path);
        await tab.goto(evil + attack);
        const answer = await answered;
        assert.equal(answer.request().method(), 'POST');
        assert.equal(answer.status(), expected, `${evil} ${attack}`);
        if (attack === '/login') {
          await tab.waitForLoadState();
          await show(tab, `refused-${status}`);
        }
        await tab.close();
      }
      const tab = await context.newPage();
      await tab.goto(evil);
      const outcomes = await tab.evaluate(async (own) => {
        const outcomes = [];
        for (const [path, options] of [
          ['/tasks', { method: 'POST', body: '{"text":"pay mallory"}', mode: 'no-cors' }],
          ['/tasks', { method: 'POST', body: '{"text":"pay mallory"}', headers: { 'content-type': 'application/json' } }],
          ['/session', { method: 'DELETE' }],
          ['/session/refresh', { method: 'POST', mode: 'no-cors' }],
          ['/me', {}],
        ]) {
          const answer = fetch(own + path, { credentials: 'include', ...options });
          outcomes.push(await answer.then((got) => `${got.type} ${got.status}`, () => 'blocked'));
        }
        return outcomes;
      }, site);
      assert.deepEqual(outcomes, ['opaque 0', 'blocked', 'blocked', 'opaque 0', 'blocked']);
      await tab.goto(`${evil}/frame`);
      const frame = tab.frames().find((one) => one.parentFrame());
      assert.equal(await frame.locator('h1', { hasText: 'Sessions' }).count(), 0);
      await tab.close();
    }
    server.close();
    server.closeAllConnections();

    assert.deepEqual(await jar(context), before);
    assert.equal((await get(page, '/me')).subject, 'alice');
    assert.deepEqual(await get(page, '/tasks'), []);
    assert.equal((await get(page, '/auth/sessions')).length, 1);
    // And the page itself may.
    const status = await page.evaluate(async () => {
      const headers = { 'content-type': 'application/json' };
      return (await fetch('/tasks', { method: 'POST', headers, body: '{"text":"water the plants"}' })).status;
    });
    assert.equal(status, 201);
    await page.click('text=Refresh now');
    await who(page);
  },

  async docs() {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await open(context, '/docs/');
    const operation = (method, path) => page.locator(`.opblock-${method}`, {
      has: page.locator(`[data-path="${path}"]`),
    });
    const me = operation('get', '/me');
    await me.waitFor();
    // A lock where the layer has one.
    const locks = async (one) => one.locator('.authorization__btn').count();
    assert.equal(await locks(me), 1);
    assert.equal(await locks(operation('post', '/tasks')), 1);
    assert.equal(await locks(operation('post', '/auth/token')), 0);
    await show(page, 'docs');

    // "Try it out" is on from the start.
    await me.locator('.opblock-summary-control').click();
    const execute = async () => {
      const answered = page.waitForResponse(`${site}/me`);
      await me.locator('.execute').click();
      return (await answered).status();
    };
    assert.equal(await execute(), 401);

    await page.locator('.auth-wrapper .authorize').click();
    const dialog = page.locator('.dialog-ux');
    await dialog.locator('#oauth_username').fill('alice');
    await dialog.locator('#oauth_password').fill(ALICE_PASSWORD);
    await show(page, 'docs-authorize');
    const answered = page.waitForResponse(`${site}/auth/token`);
    // The first one is for the cookie.
    await dialog.locator('button.authorize').last().click();
    assert.equal((await answered).status(), 200);
    await dialog.getByText('Logout').waitFor();
    await show(page, 'docs-authorized');
    await dialog.locator('.btn-done').first().click();

    assert.equal(await execute(), 200);
    await me.locator('.live-responses-table', { hasText: 'alice' }).waitFor();
    await me.scrollIntoViewIfNeeded();
    await show(page, 'docs-executed');
    // It is no cookie.
    assert.deepEqual(await jar(context), {});
  },
};

try {
  await scenarios[scenario]();
  assert.deepEqual(complaints, []);
} catch (error) {
  // Where it was when it failed.
  for (const [number, page] of browser.contexts().flatMap((context) => context.pages()).entries()) {
    await show(page, `failed-${scenario}-${number}`).catch(() => {});
  }
  console.error(error, complaints);
  process.exitCode = 1;
}
await browser.close();
// Whatever is still under way.
process.exit();
