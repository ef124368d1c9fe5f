// At the end of a job: gives back what its runs have left locked. What may be left fails the job, and is named.
'use strict';

const { spawnSync } = require('node:child_process');

// Not set if the installation failed.
const program = process.env.STATE_program;
if (program && process.env.INPUT_RELEASE !== 'false') {
  const { status, error } = spawnSync(program, ['release', '--mine', '--no-input'], { stdio: 'inherit' });
  if (error) console.log(`::error::${program}: ${error.message}`);
  process.exitCode = status ?? 1;
}
