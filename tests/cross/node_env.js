// SPDX-License-Identifier: MIT
// node's environment variables for tests, which getenv() does not see by itself. A program
// that never asks for one has no ENV.
Module['preRun'] = function () {
  if (typeof process === 'object' && typeof ENV === 'object')
    for (var name in process.env)
      if (name.startsWith('MOTE_') || name === 'TMPDIR') ENV[name] = process.env[name];
};
