// SPDX-License-Identifier: MIT
// Write tests/data/tokenizer/tiktoken: a small vocabulary in the form of Moonlight's and
// Kimi-K2's, and what the tiktoken engine makes of texts with it.
//
//     npm install tiktoken@1.0.22; node tiktoken_golden.cjs DIRECTORY
//
// The vocabulary is trained here, on a random mixture of the fragments below and across
// all their borders, so that a cut in the wrong place shows in the ids.
const { Tiktoken } = require('tiktoken');
const fs = require('fs');

const dir = process.argv[2];
const TOKENS = 900, TEXTS = 400;
const fragments = ['the', 'The', 'THE', 'hello', 'World', 'eXtra', 'don', 'it', "'s", "'S", "'ll",
  "'LL", "'re", "'\u017f", '\u017f', 'K', '\u212a', ' ', '  ', '\n', '\r\n', '\t', '\n\n', '   \n', '1',
  '12', '1234567', '\u0663', '\u00b2', '\u00bd', '.', ',', '!?', '--', '...', '/*', '_', '\u00e9', '\u00c9',
  'e\u0301', '\u00df', '\u01c5', '\u02b0', 'Жизнь', 'жизнь', 'ΑΒΓ', 'αβγ', '你', '好', '你好', '中文', '々',
  '〇', '㈱', '⺀', '\u{20000}', '\u{2ceb0}', 'の', 'カタカナ', '한국어', 'שלום', 'مرحبا', 'हिन्दी',
  '\u{1f600}', '\u200d', '\u00a0', '\u3000', '、', '。', '\u00aa', '\u2167', '\u2177', '\u{1d504}', '\u0300',
  '$', '€', '\u0130', '\u0131', '0', 'x', 'X', '\u{10400}', '\u{10428}'];

let seed = 20261128;
function random(n) {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor(seed / 4294967296 * n);
}
function mixture(list, most) {
  let s = '';
  for (let n = 1 + random(most); n > 0; n--) s += list[random(list.length)];
  return s;
}

// The commonest pair becomes the next token.
function train(bytes) {
  let ids = Array.from(bytes);
  const tokens = Array.from({ length: 256 }, (_, i) => Buffer.from([i]));
  const known = new Set(tokens.map((t) => t.toString('latin1')));
  while (tokens.length < TOKENS) {
    const count = new Map();
    for (let i = 0; i + 1 < ids.length; i++) {
      const k = ids[i] * 65536 + ids[i + 1];
      count.set(k, (count.get(k) || 0) + 1);
    }
    let best = -1, most = 0;
    for (const [k, n] of count) {
      const joined = tokens[Math.floor(k / 65536)].toString('latin1') + tokens[k % 65536].toString('latin1');
      if (n > most && !known.has(joined)) { best = k; most = n; }
    }
    const left = Math.floor(best / 65536), right = best % 65536, id = tokens.length;
    tokens.push(Buffer.concat([tokens[left], tokens[right]]));
    known.add(tokens[id].toString('latin1'));
    const next = [];
    for (let i = 0; i < ids.length; i++) {
      if (i + 1 < ids.length && ids[i] === left && ids[i + 1] === right) { next.push(id); i++; }
      else next.push(ids[i]);
    }
    ids = next;
  }
  return tokens;
}

const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]`;
const before = String.raw`[^\r\n\p{L}\p{N}]?`, ending = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
const pattern = [String.raw`[\p{Han}]+`, before + upper + '*' + lower + '+' + ending,
  before + upper + '+' + lower + '*' + ending, String.raw`\p{N}{1,3}`,
  String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`, String.raw`\s*[\r\n]+`, String.raw`\s+(?!\S)`,
  String.raw`\s+`].join('|');

const tokens = train(Buffer.from(mixture(fragments, 1).concat(...Array.from({ length: 6000 },
  () => fragments[random(fragments.length)]))));
const lines = tokens.map((t, i) => t.toString('base64') + ' ' + i);
const added = {};
const control = ['[BOS]', '[EOS]', '<|im_end|>', '<|im_user|>', '<|im_assistant|>', '<|im_middle|>'];
control.forEach((content, i) => {
  added[TOKENS + i] = { content, lstrip: false, normalized: false, rstrip: false, single_word: false, special: true };
});
added[TOKENS + 20] = { content: '<|tool_call_begin|>', special: false };
const config = { added_tokens_decoder: added, bos_token: '[BOS]', eos_token: '[EOS]', tokenizer_class: 'TikTokenTokenizer' };
const special = {};
for (let i = TOKENS; i < TOKENS + 256; i++) special[added[i] ? added[i].content : `<|reserved_token_${i}|>`] = i;

const engine = new Tiktoken('! 0 ' + lines.map((l) => l.split(' ')[0]).join(' '), special, pattern);
const texts = [];
const names = [...control, '<|tool_call_begin|>', `<|reserved_token_${TOKENS + 9}|>`, '<|im_', '|>'];
for (let i = 0; i < TEXTS; i++) texts.push(mixture(i % 4 ? fragments : fragments.concat(names), 14));
for (const run of [['a'], ['A'], ['a', 'A'], ['你', '好'], ['の', 'カ'], ['=', '-'], [' '], ['\n', ' '], ['aa', 'aaa', 'b']]) {
  let s = '';
  while (s.length < 150) s += run[random(run.length)];
  texts.push(s);
}
fs.mkdirSync(dir, { recursive: true });
fs.writeFileSync(dir + '/tiktoken.model', lines.join('\n') + '\n');
fs.writeFileSync(dir + '/tokenizer_config.json', JSON.stringify(config, null, 1) + '\n');
fs.writeFileSync(dir + '/golden.jsonl', texts.map((text) => JSON.stringify({ text,
  ids: Array.from(engine.encode_ordinary(text)), special: Array.from(engine.encode(text, 'all')) })).join('\n') + '\n');
