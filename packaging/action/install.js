// Installs a released tflock on PATH, checked against the release's SHA256SUMS.
'use strict';

const { execFileSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const TARGETS = {
  'Linux X64': 'x86_64-unknown-linux-musl',
  'Linux ARM64': 'aarch64-unknown-linux-musl',
  'macOS X64': 'x86_64-apple-darwin',
  'macOS ARM64': 'aarch64-apple-darwin',
};

async function download(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`cannot download ${url}: ${answer.status} ${answer.statusText}`);
  return Buffer.from(await answer.arrayBuffer());
}

async function install(environment) {
  const system = `${environment.RUNNER_OS} ${environment.RUNNER_ARCH}`;
  const target = TARGETS[system];
  if (!target) throw new Error(`tflock is not released for ${system}`);
  const version = (environment.INPUT_VERSION || environment.GITHUB_ACTION_REF || '').replace(/^v/, '');
  if (!/^\d+\.\d+\.\d+[\w.-]*$/.test(version)) {
    throw new Error(`"${version}" is no version of tflock: set \`version\`, for example to 0.1.0`);
  }

  const release = `${environment.GITHUB_SERVER_URL}/${environment.GITHUB_ACTION_REPOSITORY}/releases/download/v${version}`;
  const name = `tflock-${version}-${target}`;
  const [archive, sums] = await Promise.all([
    download(`${release}/${name}.tar.gz`),
    download(`${release}/SHA256SUMS`),
  ]);
  const sum = createHash('sha256').update(archive).digest('hex');
  if (!sums.toString().split('\n').includes(`${sum}  ${name}.tar.gz`)) {
    throw new Error(`${name}.tar.gz is not what SHA256SUMS of the release says`);
  }

  const root = fs.mkdtempSync(path.join(environment.RUNNER_TEMP, 'tflock-'));
  execFileSync('tar', ['-xzf', '-', '-C', root], { input: archive });
  const directory = path.join(root, name);
  if (environment.INPUT_TERRAFORM === 'true') {
    fs.symlinkSync('tflock', path.join(directory, 'terraform'));
  }
  fs.appendFileSync(environment.GITHUB_PATH, `${directory}\n`);
  // For the end of the job, whatever PATH is by then.
  fs.appendFileSync(environment.GITHUB_STATE, `program=${path.join(directory, 'tflock')}\n`);
  console.log(`tflock ${version} is in ${directory}`);
}

install(process.env).catch((error) => {
  console.log(`::error::${error.message}`);
  process.exitCode = 1;
});
