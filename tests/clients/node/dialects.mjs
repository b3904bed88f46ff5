// Drives the official SDK of one dialect through a gateway, against providers of every dialect, and prints what a program would see.
//
//   node dialects.mjs SDK DIRECTORY < plan.json
//
// SDK names a file beside this one, which says the same verbs in that SDK's words; DIRECTORY holds its node_modules. The plan is
// {url, keys, upstreams, scripts, shapes, late, tricky}. Prints one line a case: {"upstream", "case", "seen"} or {"upstream", "case", "failed"}.
// What must be seen is said in ../test_sdk_dialects.py.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [sdk, directory] = process.argv.slice(2);
const require = createRequire(join(directory, 'package.json'));
const plan = JSON.parse(readFileSync(0, 'utf8'));
const { default: speak } = await import(`./${sdk}.mjs`);
const { z } = require('zod');

const PICTURE = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const PAPER = Buffer.from('%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n').toString('base64');
const WEATHER = {
  name: 'weather',
  description: 'The weather of a city.',
  schema: {
    type: 'object',
    properties: { city: { type: 'string' }, days: { type: 'integer' } },
    required: ['city', 'days'],
    additionalProperties: false,
  },
};
const Place = z.object({ name: z.string(), people: z.number().int() });
const MOST_TURNS = 6;

const connect = (key = 'main') => speak(require, plan.url, plan.keys[key], Place);

// The whole loop: ask, let every tool answer, ask again, until the model only talks.
async function loop(model, how) {
  const client = connect();
  const turns = [client.user('How is the weather?')];
  const seen = { turns: 0, calls: [], ids: 0, thoughts: '' };
  while (seen.turns < MOST_TURNS) {
    const said = await client.ask({ model, turns, tools: [WEATHER], ...how });
    seen.turns += 1;
    seen.thoughts += said.thoughts;
    if (said.calls.length === 0) return { ...seen, text: said.text, finish: said.finish };
    seen.calls.push(said.calls.map((call) => [call.name, call.arguments]));
    seen.ids += new Set(said.calls.map((call) => call.id)).size;
    turns.push(...said.turn, ...client.results(said.calls, (call, index) => `rain ${index}`));
  }
  return { ...seen, text: null, finish: null };
}

const asked = (text, parts = []) => {
  const client = connect();
  return [client, [client.user(text, parts)]];
};

async function medium(model, mime, data) {
  const [client, turns] = asked('What is this?', [{ mime, data }]);
  return { text: (await client.ask({ model, turns })).text };
}

const facts = ({ text, finish, input, output, request_id }) => ({ text, finish, input, output, request_id });

async function plain(model, how, text = 'Say hello to the harbour.') {
  const [client, turns] = asked(text);
  const said = await client.ask({ model, turns, ...how });
  return { ...facts(said), pieces: said.pieces };
}

// What the SDK makes of a refusal or a break: its own exception and every field that a program would look at.
async function failure(call) {
  let pieces = 0;
  try {
    const answered = facts(await call(() => (pieces += 1)));
    return { class: null, pieces, answered };
  } catch (error) {
    return { class: error.constructor.name, pieces, message: String(error.message).slice(0, 400), ...connect().failure(error) };
  }
}

const CASES = {
  text: (model) => plain(model('words')),
  stream: (model) => plain(model('words'), { stream: true }),
  stream_helper: (model) => plain(model('words'), { stream: true, helper: true }),
  stream_of_tricky_text: (model) => plain(model('echo'), { stream: true }, plan.tricky),
  async stream_of_every_shape(model) {
    const seen = {};
    for (const shape of [...plan.shapes, ...(plan.late[model('').replace('/', '')] ?? [])]) {
      try {
        seen[shape] = (await plain(model(shape), { stream: true }, 'Grüße, 世界 🌍')).text;
      } catch (error) {
        seen[shape] = `${error.constructor.name}: ${error.message}`;
      }
    }
    return seen;
  },
  async stream_left_early(model) {
    let pieces = 0;
    const enough = new Error('enough');
    const piece = () => {
      pieces += 1;
      if (pieces === 2) throw enough;
    };
    await plain(model('slow'), { stream: true, piece }).catch((error) => {
      if (error !== enough) throw error;
    });
    return { pieces, text_after: (await plain(model('words'))).text };
  },
  refusal: (model) => plain(model('refusal')),
  refusal_streamed: (model) => plain(model('refusal'), { stream: true }),
  filter: (model) => plain(model('filter')),
  filter_streamed: (model) => plain(model('filter'), { stream: true }),
  length: (model) => plain(model('long'), { cap: 20 }),
  tools: (model) => loop(model('tool')),
  tools_streamed: (model) => loop(model('tool'), { stream: true }),
  parallel_tools: (model) => loop(model('parallel')),
  parallel_tools_streamed: (model) => loop(model('parallel'), { stream: true }),
  thinking: (model) => loop(model('thinking'), { think: true }),
  thinking_streamed: (model) => loop(model('thinking'), { think: true, stream: true }),
  // The SDK's own loop, of which a program sees the end alone; null where this major has none.
  async loop_of_the_sdk(model) {
    const [client, turns] = asked('How is the weather?');
    const called = [];
    if (client.loop === undefined) return null;
    const text = await client.loop({ model: model('tool'), turns, tools: [WEATHER] }, (given) => {
      called.push(given);
      return 'rain';
    });
    return { text, called };
  },
  picture: (model) => medium(model('echo'), 'image/png', PICTURE),
  paper: (model) => medium(model('echo'), 'application/pdf', PAPER),
  async structured(model) {
    const [client, turns] = asked('Where?');
    const value = await client.structured({ model: model('echo'), turns });
    return { fits: Place.safeParse(value).success, value };
  },
  async models() {
    return { ids: await connect().models() };
  },
  async stored(model) {
    const client = connect();
    return client.stored === undefined ? null : await client.stored(model('words'));
  },
  async count(model) {
    const [client, turns] = asked('Say hello to the harbour.');
    return { tokens: client.count === undefined ? null : await client.count({ model: model('words'), turns }) };
  },
  async embedding(model) {
    const client = connect();
    if (client.embed === undefined) return null;
    try {
      const vectors = await client.embed({ model: model('echo'), texts: ['north', 'south'] });
      return { lengths: vectors.map((vector) => vector.length), differ: String(vectors[0]) !== String(vectors[1]) };
    } catch (error) {
      return { refused: client.failure(error).status };
    }
  },
  refused_key: (model) => failure(() => connect('wrong').ask({ model: model('words'), turns: [connect().user('hi')] })),
  refused_key_for_a_stream: (model) =>
    failure(() => connect('wrong').ask({ model: model('words'), turns: [connect().user('hi')], stream: true })),
  unknown_model: () => failure(() => plain('nobody/nothing')),
  upstream_400: (model) => failure(() => plain(model('status_400'))),
  upstream_429: (model) => failure(() => plain(model('status_429'))),
  upstream_500: (model) => failure(() => plain(model('status_500'))),
  upstream_500_for_a_stream: (model) => failure(() => plain(model('status_500'), { stream: true })),
  broken_stream: (model) => failure((piece) => plain(model('cut'), { stream: true, piece })),
  failed_stream: (model) => failure((piece) => plain(model('error_frame'), { stream: true, piece })),
};

for (const upstream of plan.upstreams) {
  for (const [name, run] of Object.entries(CASES)) {
    const model = (script) => `${upstream}/${plan.scripts[script] ?? script}`;
    try {
      console.log(JSON.stringify({ upstream, case: name, seen: await run(model) }));
    } catch (error) {
      console.log(JSON.stringify({ upstream, case: name, failed: `${error.constructor.name}: ${error.message}` }));
    }
  }
}
const version = JSON.parse(readFileSync(join(directory, 'node_modules', connect().package, 'package.json'), 'utf8')).version;
console.log(JSON.stringify({ upstream: '', case: 'version', seen: { version } }));
process.exit(0);
