// `node --test packaging/action`: the action against a release on loopback.
'use strict';

const assert = require('node:assert');
const { execFileSync, spawn } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');

const NAME = 'tflock-1.2.3-x86_64-unknown-linux-musl';

// A job: its directory, and a release whose program notes how it is called and exits with 75.
async function job(t, { sum } = {}) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tflock-action-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const program = path.join(directory, NAME, 'tflock');
  fs.mkdirSync(path.dirname(program));
  fs.writeFileSync(program, `#!/bin/sh\necho "$*" >>'${directory}/calls'\nexit 75\n`, { mode: 0o755 });
  const archive = execFileSync('tar', ['-czf', '-', '-C', directory, NAME]);
  sum ??= createHash('sha256').update(archive).digest('hex');
  const files = {
    [`/owner/action/releases/download/v1.2.3/${NAME}.tar.gz`]: archive,
    '/owner/action/releases/download/v1.2.3/SHA256SUMS': `0000  other\n${sum}  ${NAME}.tar.gz\n`,
  };
  const server = http.createServer(({ url }, answer) => {
    answer.writeHead(files[url] ? 200 : 404).end(files[url]);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const file = (name) => path.join(directory, name);
  const environment = {
    PATH: process.env.PATH,
    RUNNER_OS: 'Linux',
    RUNNER_ARCH: 'X64',
    RUNNER_TEMP: directory,
    GITHUB_SERVER_URL: `http://127.0.0.1:${server.address().port}`,
    GITHUB_ACTION_REPOSITORY: 'owner/action',
    GITHUB_PATH: file('path'),
    GITHUB_STATE: file('state'),
  };
  const run = (script, variables) =>
    new Promise((resolve) => {
      const options = { env: { ...environment, ...variables }, stdio: ['ignore', 'pipe', 'inherit'] };
      const child = spawn(process.execPath, [path.join(__dirname, script)], options);
      let output = '';
      child.stdout.on('data', (text) => (output += text));
      child.on('close', (code) => resolve({ code, output }));
    });
  const read = (name) => (fs.existsSync(file(name)) ? fs.readFileSync(file(name), 'utf8').trimEnd() : '');
  return { run, read };
}

test('the version of the tag is installed, and what is left is given back at the end', async (t) => {
  const { run, read } = await job(t);
  const { code, output } = await run('install.js', { GITHUB_ACTION_REF: 'v1.2.3', INPUT_VERSION: '' });
  assert.strictEqual(code, 0, output);
  assert.deepStrictEqual(fs.readdirSync(read('path')), ['tflock']);
  const STATE_program = read('state').replace('program=', '');
  const end = await run('release.js', { STATE_program, INPUT_RELEASE: 'true' });
  assert.strictEqual(end.code, 75);
  assert.strictEqual(read('calls'), 'release --mine --no-input');
});

test('terraform becomes tflock if that is wanted, and nothing is given back if not', async (t) => {
  const { run, read } = await job(t);
  await run('install.js', { INPUT_VERSION: '1.2.3', INPUT_TERRAFORM: 'true' });
  assert.strictEqual(fs.readlinkSync(path.join(read('path'), 'terraform')), 'tflock');
  const STATE_program = read('state').replace('program=', '');
  assert.strictEqual((await run('release.js', { STATE_program, INPUT_RELEASE: 'false' })).code, 0);
  assert.strictEqual(read('calls'), '');
});

for (const [trouble, words, variables, release] of [
  ['another sum', /is not what SHA256SUMS/, { INPUT_VERSION: '1.2.3' }, { sum: '0'.repeat(64) }],
  ['a release that is not there', /cannot download .*: 404/, { INPUT_VERSION: '9.9.9' }],
  ['a branch', /"main" is no version/, { GITHUB_ACTION_REF: 'main' }],
  ['another system', /not released for Windows X64/, { INPUT_VERSION: '1.2.3', RUNNER_OS: 'Windows' }],
]) {
  test(`${trouble} fails the job, and nothing is installed or given back`, async (t) => {
    const { run, read } = await job(t, release);
    const { code, output } = await run('install.js', variables);
    assert.strictEqual(code, 1);
    assert.match(output, new RegExp(`^::error::.*${words.source}`));
    assert.strictEqual(read('path'), '');
    assert.strictEqual((await run('release.js', { INPUT_RELEASE: 'true' })).code, 0);
  });
}
