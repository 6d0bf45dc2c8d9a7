'use strict';
// The tokens are in cookies that this script cannot read. It knows when they expire, and no more.
const byId = (id) => document.getElementById(id);
const show = (message) => { byId('message').textContent = message; };
let expiresAt = 0;

// One at a time, in all tabs together: a refresh token is good once, and who uses it twice is logged out.
function refresh() {
  return navigator.locks.request('refresh', () => fetch('/session/refresh', { method: 'POST' }));
}

async function call(path, options) {
  let answer = await fetch(path, options);
  if (answer.status === 401 && (await refresh()).ok) answer = await fetch(path, options);
  if (!answer.ok && answer.status !== 401) show(`The service answered ${answer.status}.`);
  return answer;
}

async function update() {
  const answer = await call('/me');
  if (answer.status === 401 && !byId('inside').hidden) show('Your session has ended.');
  byId('login').hidden = answer.ok;
  byId('inside').hidden = !answer.ok;
  if (!answer.ok) return;
  const me = await answer.json();
  byId('who').textContent = me.subject;
  expiresAt = me.expires_at * 1000;
  count();
  const sessions = await call('/auth/sessions');
  if (sessions.ok) byId('sessions').replaceChildren(...(await sessions.json()).map(row));
}

function row(session) {
  const line = document.createElement('tr');
  line.className = session.current ? 'current' : '';
  // As text: the label is a header of some request, and may be anything.
  const cell = (text) => {
    const cell = line.appendChild(document.createElement('td'));
    cell.textContent = text;
    return cell;
  };
  cell(session.current ? `${session.client} (this one)` : session.client);
  cell(session.label);
  cell(new Date(session.started_at * 1000).toLocaleString([], { dateStyle: 'short', timeStyle: 'short' }));
  const end = cell('').appendChild(document.createElement('button'));
  end.textContent = 'End';
  end.addEventListener('click', async () => {
    await call(`/auth/sessions/${encodeURIComponent(session.id)}`, { method: 'DELETE' });
    await update();
  });
  return line;
}

function count() {
  const left = Math.max(0, Math.round((expiresAt - Date.now()) / 1000));
  byId('countdown').textContent = left
    ? `Your access token expires in ${left} seconds.`
    : 'Your access token has expired; your next click renews it.';
}

byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(event.target));
  const answer = await fetch('/session', { method: 'POST', body });
  event.target.elements.password.value = '';
  if (answer.ok) show('');
  else if (answer.status === 400) show('User and password do not match.');
  else if (answer.status === 429) show(`Too many attempts. Try again in ${answer.headers.get('retry-after')} seconds.`);
  else show(`The service answered ${answer.status}.`);
  if (answer.ok) await update();
});
byId('refresh').addEventListener('click', async () => {
  await refresh();
  await update();
});
byId('logout').addEventListener('click', async () => {
  const answer = await fetch('/session', { method: 'DELETE' });
  if (!answer.ok) return show(`The service answered ${answer.status}. You are still logged in.`);
  byId('inside').hidden = true;
  await update();
});
addEventListener('unhandledrejection', () => show('The service does not answer.'));
setInterval(count, 250);
update();
