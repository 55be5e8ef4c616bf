// SPDX-License-Identifier: MIT
// node's environment variables for tests, which getenv() does not see by itself.
Module['preRun'] = function () {
  if (typeof process === 'object')
    for (var name in process.env)
      if (name.startsWith('MOTE_') || name === 'TMPDIR') ENV[name] = process.env[name];
};
