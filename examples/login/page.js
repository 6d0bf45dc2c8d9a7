'use strict';
// The tokens are in cookies that this script cannot read. It knows when they expire, and no more.
const byId = (id) => document.getElementById(id);
let expiresAt = 0;
let refreshing = null;

function show(message) { byId('message').textContent = message; }

// One refresh at a time: a refresh token is good once.
function refresh() {
  refreshing ??= fetch('/session/refresh', { method: 'POST' }).finally(() => { refreshing = null; });
  return refreshing;
}

async function call(path, options) {
  let answer = await fetch(path, options);
  if (answer.status === 401 && (await refresh()).ok) answer = await fetch(path, options);
  return answer;
}

async function update() {
  const answer = await call('/me');
  byId('login').hidden = answer.ok;
  byId('inside').hidden = !answer.ok;
  if (!answer.ok) {
    if (answer.status !== 401) show(`The service answered ${answer.status}.`);
    return;
  }
  const me = await answer.json();
  byId('who').textContent = me.subject;
  expiresAt = me.expires_at * 1000;
  const list = await (await call('/auth/sessions')).json();
  byId('sessions').replaceChildren(...list.map(row));
}

function row(session) {
  const line = document.createElement('tr');
  const cell = (text, name) => {
    const cell = line.appendChild(document.createElement('td'));
    cell.textContent = text;
    if (name) cell.className = name;
    return cell;
  };
  cell(session.client);
  cell(session.current ? `${session.label} (this one)` : session.label, 'label');
  cell(new Date(session.started_at * 1000).toLocaleTimeString());
  const end = cell('').appendChild(document.createElement('button'));
  end.textContent = 'end';
  end.dataset.session = session.id;
  end.addEventListener('click', async () => {
    await call(`/auth/sessions/${encodeURIComponent(session.id)}`, { method: 'DELETE' });
    await update();
  });
  return line;
}

byId('login').addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = new URLSearchParams(new FormData(event.target));
  const answer = await fetch('/session', { method: 'POST', body });
  event.target.elements.password.value = '';
  if (answer.ok) show('');
  else if (answer.status === 429) show(`Too many attempts. Try again in ${answer.headers.get('retry-after')} seconds.`);
  else if (answer.status === 400) show('User and password do not match.');
  else show(`The service answered ${answer.status}.`);
  await update();
});
byId('refresh').addEventListener('click', async () => { await refresh(); await update(); });
byId('logout').addEventListener('click', async () => { await fetch('/session', { method: 'DELETE' }); await update(); });
setInterval(() => {
  const left = Math.round((expiresAt - Date.now()) / 1000);
  byId('countdown').textContent = Math.max(0, left);
}, 250);
update();
