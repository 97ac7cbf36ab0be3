// Runs the code of a session in one node, one piece after the other in the same global scope.
//
// A piece ends when nothing is left to wait for, as a program does; the line on which commands come is not waited for
// meanwhile. Standard library only. Code reads an empty standard input.
'use strict';

const fs = require('fs');
const net = require('net');
const path = require('path');
const vm = require('vm');
const { createHook } = require('async_hooks');
const { createRequire } = require('module');
const { inspect } = require('util');

const fd = Number(process.argv[2]);
const INTERRUPTED = 130;
const UNSETTLED = 13; // what node itself says of a top-level `await` that can never end

let current = null; // the number of the command that runs
let waiting = false; // for a top-level `await`
let pieces = 0;

process.argv.splice(1);
globalThis.require = createRequire(path.join(process.cwd(), '/'));
const { emitWarning } = process;
process.emitWarning = (warning, ...rest) => {
  // That `import()` finds files from the session's folder is for node to warn us about, not the user.
  if (!String(warning).includes('USE_MAIN_CONTEXT_DEFAULT_LOADER')) emitWarning.call(process, warning, ...rest);
};
const line = new net.Socket({ fd, readable: true, writable: false });

function send(frame) {
  let data = Buffer.from(JSON.stringify(frame) + '\n');
  while (data.length) {
    try {
      data = data.subarray(fs.writeSync(fd, data));
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
    }
  }
}

// What the code waits for: timers, sockets, child processes.
const held = new Map();
createHook({
  init(id, _type, _trigger, resource) { if (typeof resource?.unref === 'function') held.set(id, resource); },
  destroy(id) { held.delete(id); },
}).enable();

// After a Ctrl-C or an error nothing is waited for any more: else the next piece would wait for it.
function abandon() {
  for (const resource of [...held.values()]) {
    if (resource.constructor?.name === 'Timeout') clearTimeout(resource);
    else resource.unref();
  }
}

function finish(exitCode, last = false) {
  if (current === null) return;
  const id = current;
  current = null;
  waiting = false;
  process.exitCode = undefined;
  line.ref();
  send({ op: 'answer', id, exit_code: exitCode, last });
}

function interrupted() {
  send({ op: 'interrupted' });
  process.stderr.write('Interrupted\n');
  abandon();
  finish(INTERRUPTED);
}

function fail(error) {
  if (error?.code === 'ERR_SCRIPT_EXECUTION_INTERRUPTED') return interrupted();
  const text = error instanceof Error && error.stack ? error.stack : inspect(error);
  const own = (frame) => /^ {4}at /.test(frame) && (frame.includes(__filename) || frame.includes('(node:'));
  process.stderr.write('Uncaught ' + text.split('\n').filter((frame) => !own(frame)).join('\n') + '\n');
  abandon();
  finish(1);
}

function compile(code) {
  const filename = `cell ${++pieces}`;
  const importModuleDynamically = vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  try {
    return new vm.Script(code, { filename, importModuleDynamically });
  } catch (error) {
    if (!/\bawait\b/.test(code)) throw error;
    try {
      const wrapped = `(async () => {\n${code}\n})()`;
      const script = new vm.Script(wrapped, { filename, lineOffset: -1, importModuleDynamically });
      waiting = true;
      return script;
    } catch {
      throw error;
    }
  }
}

function run({ id, code }) {
  current = id;
  line.unref();
  send({ op: 'begun' });
  try {
    const value = compile(code).runInThisContext({ breakOnSigint: true });
    if (waiting) value.then(() => { waiting = false; }, fail);
  } catch (error) {
    fail(error);
  }
}

// What the names before the cursor may become: properties of a dotted name, or what is global.
function complete({ id, code }) {
  const [, owner, start] = /((?:[\w$]+\.)*)([\w$]*)$/.exec(code);
  let matches = [];
  try {
    const value = owner ? vm.runInThisContext(owner.slice(0, -1), { timeout: 1000 }) : globalThis;
    const names = new Set();
    for (let object = Object(value); object; object = Object.getPrototypeOf(object)) {
      Object.getOwnPropertyNames(object).forEach((name) => names.add(name));
    }
    matches = [...names].filter((name) => name.startsWith(start) && /^[A-Za-z_$][\w$]*$/.test(name));
  } catch {
    // nothing of that name
  }
  send({ op: 'answer', id, matches: matches.sort().slice(0, 1000).map((name) => owner + name) });
}

let rest = '';
line.setEncoding('utf8');
line.on('data', (text) => {
  const frames = (rest + text).split('\n');
  rest = frames.pop();
  for (const frame of frames.map((one) => JSON.parse(one))) (frame.op === 'run' ? run : complete)(frame);
});
// The cluster is gone. So is everything that this session has started.
line.on('close', () => process.kill(0, 'SIGKILL'));
process.on('SIGINT', () => { if (current !== null) interrupted(); });
process.on('uncaughtException', fail);
process.on('beforeExit', () => {
  if (waiting) process.stderr.write('Warning: Detected unsettled top-level await\n');
  finish(waiting ? UNSETTLED : process.exitCode ?? 0);
});
process.on('exit', (code) => finish(code, true)); // the code has ended node: a fresh one runs what comes next
send({ op: 'ready' });
