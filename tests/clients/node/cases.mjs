// Drives one installed Node SDK against the server its environment names, and prints one JSON line of facts per case.
//
// Run as `node cases.mjs openai|cometapi DIRECTORY`, where DIRECTORY holds the SDK's node_modules, with the plan (models and keys) as
// JSON on standard input. The case names and facts are those of ../python/cases.py; what a fact must be is said once, in
// ../test_clients.py. The client is built from its environment alone, as a user who changes two variables would have it.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [sdk, directory] = process.argv.slice(2);
const require = createRequire(join(directory, 'package.json'));
const plan = JSON.parse(readFileSync(0, 'utf8'));
const { keys: KEYS, models: MODELS } = plan;
const [KEY_VARIABLE, URL_VARIABLE] = { openai: ['OPENAI_API_KEY', 'OPENAI_BASE_URL'], cometapi: ['COMETAPI_KEY', 'COMETAPI_BASE_URL'] }[sdk];
const BASE_URL = process.env[URL_VARIABLE];

const openai = require('openai');
const Client = sdk === 'openai' ? openai.OpenAI : require('cometapi').CometAPI;
const { zodResponseFormat } = require('openai/helpers/zod');
const { z } = require('zod');

const HELLO = [{ role: 'user', content: 'Say hello to the harbour.' }];
const WEATHER = {
  type: 'function',
  function: {
    name: 'weather',
    description: 'The weather of a city.',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer' } },
      required: ['city', 'days'],
      additionalProperties: false,
    },
    strict: true,
  },
};
const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const Place = z.object({ name: z.string(), people: z.number().int() });

// A client as its environment makes it. No retries unless asked for, so that the first answer is the one seen.
function connect(key = 'main', options = {}) {
  process.env[KEY_VARIABLE] = KEYS[key];
  return new Client({ maxRetries: 0, ...options });
}

function answer(completion) {
  const [choice] = completion.choices;
  return {
    object: completion.object,
    id: completion.id,
    model: completion.model,
    role: choice.message.role,
    text: choice.message.content,
    finish: choice.finish_reason,
    prompt_tokens: completion.usage.prompt_tokens,
    completion_tokens: completion.usage.completion_tokens,
    total_tokens: completion.usage.total_tokens,
    request_id: completion._request_id,
  };
}

function streamed(chunks) {
  const choices = chunks.flatMap((chunk) => chunk.choices);
  return {
    object: chunks[0].object,
    ids: new Set(chunks.map((chunk) => chunk.id)).size,
    roles: choices.flatMap((choice) => choice.delta.role || []),
    text: choices.map((choice) => choice.delta.content || '').join(''),
    pieces: choices.filter((choice) => choice.delta.content).length,
    finish: choices.flatMap((choice) => choice.finish_reason || []),
    empty_chunks: chunks.filter((chunk) => chunk.choices.length === 0).length,
    usages: chunks.flatMap(({ usage }) => (usage ? [[usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]] : [])),
  };
}

async function collect(items) {
  const all = [];
  for await (const item of await items) all.push(item);
  return all;
}

const chat = (body = {}, client = connect(), options) =>
  client.chat.completions.create({ model: MODELS.chat, messages: HELLO, ...body }, options);

const image = (url) =>
  chat({
    messages: [{ role: 'user', content: [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url, detail: 'low' } }] }],
  }).then(answer);

// Each by a client of its own: after a connection that was closed without notice, the next request may find that out too late.
async function everyShape(facts, body) {
  const seen = {};
  for (const model of plan.shapes) seen[model] = await facts(await chat({ model, ...body }, connect()));
  return seen;
}

const sorted = (values) => [...new Set(values)].sort();

// What the SDK makes of a refusal: its own exception class and every field a program would look at.
async function failure(call) {
  try {
    return { class: null, answered: String(JSON.stringify(await call())).slice(0, 200) };
  } catch (error) {
    if (!(error instanceof openai.APIError)) throw error;
    return {
      class: error.constructor.name,
      status: error.status ?? null,
      type: error.type ?? null,
      code: error.code ?? null,
      param: error.param ?? null,
      message: error.error?.message ?? error.message,
      request_id: error.requestID ?? null,
      retry_after: error.headers?.get('retry-after') ?? null,
    };
  }
}

// A client that tries again of itself, and a list of what it sent.
function counted(calls) {
  const watched = (url, init) => (calls.push(init?.method), fetch(url, init));
  return connect('main', { maxRetries: 2, fetch: watched });
}

const once = () => ({ headers: { 'Idempotency-Key': `once-${randomUUID()}` } });
const short = ({ class: name, status, code }) => ({ class: name, status, code });

const CASES = {
  async model_list() {
    const models = await collect(connect().models.list());
    return { ids: models.map((model) => model.id), objects: sorted(models.map((model) => model.object)) };
  },
  async model_list_of_a_restricted_key() {
    return { ids: (await collect(connect('restricted').models.list())).map((model) => model.id) };
  },
  async model_retrieve() {
    const model = await connect().models.retrieve(MODELS.chat);
    return { id: model.id, object: model.object };
  },
  plain: () => chat().then(answer),
  stream: async () => streamed(await collect(chat({ stream: true }))),
  stream_with_usage: async () => streamed(await collect(chat({ stream: true, stream_options: { include_usage: true } }))),
  stream_with_usage_declined: async () => streamed(await collect(chat({ stream: true, stream_options: { include_usage: false } }))),
  async stream_helper() {
    let deltas = 0;
    const events = connect().chat.completions.stream({ model: MODELS.chat, messages: HELLO });
    events.on('content.delta', () => (deltas += 1));
    const final = await events.finalChatCompletion();
    return { text: final.choices[0].message.content, finish: final.choices[0].finish_reason, deltas };
  },
  async stream_left_early() {
    const client = connect();
    let chunks = 0;
    for await (const _ of await chat({ stream: true, model: MODELS.slow }, client)) if (++chunks === 2) break;
    return { chunks, text_after: (await chat({}, client)).choices[0].message.content };
  },
  async many_at_once() {
    const client = connect();
    const answers = await Promise.all(Array.from({ length: 20 }, () => chat({}, client)));
    return {
      answers: answers.length,
      texts: sorted(answers.map((one) => one.choices[0].message.content)),
      request_ids: new Set(answers.map((one) => one._request_id)).size,
    };
  },
  async more_at_once_than_allowed() {
    const client = connect('one_at_a_time');
    const calls = Array.from({ length: 4 }, () => chat({ model: MODELS.slow, max_tokens: 10 }, client));
    const refused = (await Promise.allSettled(calls)).filter((end) => end.status === 'rejected').map((end) => end.reason);
    const after = await chat({}, client);
    return {
      answered: calls.length - refused.length,
      refused: sorted(refused.map((error) => error.constructor.name)),
      text_after: after.choices[0].message.content,
    };
  },
  async renamed_model() {
    const stream = streamed(await collect(chat({ model: MODELS.renamed, stream: true })));
    return { text: answer(await chat({ model: MODELS.renamed })).text, stream: stream.text };
  },
  async tools() {
    const client = connect();
    const asked = [{ role: 'user', content: 'How is the weather in Kiel for 3 days?' }];
    const first = (await chat({ messages: asked, tools: [WEATHER] }, client)).choices[0];
    const [call] = first.message.tool_calls;
    const result = { role: 'tool', tool_call_id: call.id, content: '{"weather":"rain"}' };
    const second = await chat({ messages: [...asked, first.message, result] }, client);
    return {
      finish: first.finish_reason,
      content: first.message.content,
      type: call.type,
      name: call.function.name,
      arguments: JSON.parse(call.function.arguments),
      second_finish: second.choices[0].finish_reason,
      second_text: second.choices[0].message.content,
    };
  },
  async tools_streamed() {
    const chunks = await collect(chat({ tools: [WEATHER], stream: true }));
    const fragments = chunks.flatMap((chunk) => chunk.choices).flatMap((choice) => choice.delta.tool_calls ?? []);
    return {
      fragments: fragments.length,
      ids: fragments.flatMap((call) => call.id || []),
      indexes: sorted(fragments.map((call) => call.index)),
      name: fragments.map((call) => call.function.name || '').join(''),
      arguments: JSON.parse(fragments.map((call) => call.function.arguments || '').join('')),
      finish: streamed(chunks).finish,
    };
  },
  image_as_data_url: () => image(PIXEL),
  image_as_https_url: () => image('https://images.example/harbour.jpg'),
  async json_schema() {
    const { $schema: _, ...schema } = z.toJSONSchema(Place);
    const form = { type: 'json_schema', json_schema: { name: 'place', schema, strict: true } };
    return { value: JSON.parse((await chat({ response_format: form })).choices[0].message.content) };
  },
  async json_schema_parsed() {
    const body = { model: MODELS.chat, messages: HELLO, response_format: zodResponseFormat(Place, 'place') };
    const { parsed } = (await connect().chat.completions.parse(body)).choices[0].message;
    return { parsed: Place.safeParse(parsed).success, value: parsed };
  },
  cap_by_max_tokens: () => chat({ model: MODELS.long, max_tokens: 3 }).then(answer),
  cap_by_max_completion_tokens: () => chat({ model: MODELS.long, max_completion_tokens: 3 }).then(answer),
  async two_choices() {
    const completion = await chat({ n: 2 });
    const chunks = await collect(chat({ n: 2, stream: true }));
    return {
      indexes: completion.choices.map((choice) => choice.index),
      finishes: completion.choices.map((choice) => choice.finish_reason),
      streamed_indexes: sorted(chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.index)),
    };
  },
  unknown_fields_pass() {
    const extra = { provider_hint: { tier: 'gold', order: ['a', 'b'] }, top_k: 7, reasoning_effort: 'low', user: 'end-user-7', seed: 7 };
    return chat(extra, connect(), { headers: { 'x-harbour': 'north' }, query: { trace: '1' } }).then(answer);
  },
  history_of_every_role() {
    const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{}' } };
    return chat({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'developer', content: [{ type: 'text', text: 'Be kind.' }] },
        { role: 'user', content: [{ type: 'text', text: 'Grüße, 世界 🌍' }], name: 'ann' },
        { role: 'assistant', content: null, tool_calls: [call] },
        { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: 'rain' }] },
        { role: 'assistant', content: 'It rains.' },
        { role: 'user', content: 'Thanks.' },
      ],
    }).then(answer);
  },
  plain_of_every_shape: () =>
    everyShape((completion) => ({ text: completion.choices[0].message.content, reported: completion.usage !== undefined })),
  stream_of_every_shape: () => everyShape(async (chunks) => streamed(await collect(chunks)), { stream: true }),
  stream_of_every_shape_with_usage: () =>
    everyShape(async (chunks) => streamed(await collect(chunks)), { stream: true, stream_options: { include_usage: true } }),
  text_that_looks_like_the_protocol: () =>
    everyShape(async (chunks) => streamed(await collect(chunks)), { stream: true, messages: [{ role: 'user', content: plan.tricky }] }),
  async raw_headers() {
    const { response } = await chat().withResponse();
    return { status: response.status, fields: Object.fromEntries(response.headers) };
  },
  async asked_twice() {
    const [calls, options] = [[], once()];
    const client = counted(calls);
    const ask = async () => {
      const { data, response } = await chat({}, client, options).withResponse();
      return { body: JSON.stringify(data), text: data.choices[0].message.content, fields: response.headers };
    };
    const [first, second] = [await ask(), await ask()];
    const sent = calls.length;
    const other = await failure(() => chat({ messages: [{ role: 'user', content: 'Something else.' }] }, client, options));
    return {
      same: first.body === second.body,
      text: second.text,
      replayed: [first, second].map(({ fields }) => fields.get('idempotent-replayed')),
      original: second.fields.get('original-request') === first.fields.get('x-request-id'),
      other: short(other),
      sent: [sent, calls.length],
    };
  },
  async stream_asked_twice() {
    const [calls, options] = [[], once()];
    const client = counted(calls);
    const first = streamed(await collect(chat({ stream: true }, client, options)));
    const again = await failure(() => collect(chat({ stream: true }, client, options)));
    return { text: first.text, again: short(again), sent: calls.length };
  },
  async account() {
    const root = BASE_URL.replace(/\/v1$/, '');
    const admin = connect('admin');
    const made = await admin.post(`${root}/api/keys`, { body: { name: `made-${randomUUID()}`, budget: { usd: '0.5', reset: 'day' } } });
    process.env[KEY_VARIABLE] = made.key;
    const client = new Client({ maxRetries: 0 });
    const answered = answer(await chat({}, client));
    const ask = (path) => client.get(path.startsWith('/dashboard') ? path : root + path);
    const limit = Date.now() + 30_000;
    while ((await ask('/api/usage')).total.requests !== 1 && Date.now() < limit) await new Promise((go) => setTimeout(go, 50));
    return {
      request_id: answered.request_id,
      id: made.id,
      budget: made.budget,
      subscription: await ask('/dashboard/billing/subscription'),
      usage: await ask('/dashboard/billing/usage'),
      token: await ask('/api/usage/token'),
      quota: await ask('/user/quota'),
      balance: await ask('/api/balance'),
      keys: await ask('/api/keys'),
      logs: await ask('/api/logs'),
      log: await ask(`/api/logs/${answered.request_id}`),
      made_by_itself: await failure(() => client.post(`${root}/api/keys`, { body: { name: 'another' } })),
      revoked: (await admin.delete(`${root}/api/keys/${made.id}`)).status,
      after: await failure(() => chat({}, client)),
    };
  },
  retried_by_the_sdk: () => chat({ model: MODELS.flaky }, connect('main', { maxRetries: 2 })).then(answer),
};

const REFUSALS = {
  refused_body_400: () => chat({ messages: 'hello' }),
  refused_field_400: () => chat({ temperature: 'hot' }),
  refused_key_401: () => chat({}, connect('wrong')),
  refused_key_401_in_a_stream: () => collect(chat({ stream: true }, connect('wrong'))),
  refused_key_401_for_models: () => collect(connect('wrong').models.list()),
  expired_key_401: () => chat({}, connect('expired')),
  expired_key_401_for_models: () => collect(connect('expired').models.list()),
  revoked_key_401: () => chat({}, connect('revoked')),
  refused_credit_402: () => chat({}, connect('penniless')),
  refused_model_403: () => chat({ model: MODELS.long }, connect('restricted')),
  unknown_model_404: () => chat({ model: MODELS.unknown }),
  unknown_model_404_retrieved: () => connect().models.retrieve(MODELS.unknown),
  unknown_route_404: () => connect().files.list(),
  base_url_without_v1_404: () => chat({}, connect('main', { baseURL: BASE_URL.replace(/\/v1$/, '') })),
  base_url_with_v1_twice_404: () => chat({}, connect('main', { baseURL: `${BASE_URL}/v1` })),
  body_too_large_413: () => chat({ messages: [{ role: 'user', content: 'x'.repeat(plan.too_large) }] }),
  async rate_limit_429() {
    const client = connect('limited');
    for (let turn = 0; turn < 3; turn += 1) await chat({}, client);
  },
  upstream_400: () => chat({ model: MODELS.upstream_400 }),
  upstream_429: () => chat({ model: MODELS.upstream_429 }),
  upstream_500: () => chat({ model: MODELS.upstream_500 }),
  upstream_502: () => chat({ model: MODELS.upstream_502 }),
  upstream_503: () => chat({ model: MODELS.upstream_503 }),
  upstream_500_for_a_stream: () => collect(chat({ model: MODELS.upstream_500_stream, stream: true })),
  upstream_html: () => chat({ model: MODELS.upstream_html }),
  upstream_bad_json: () => chat({ model: MODELS.upstream_bad_json }),
  upstream_cut_stream: () => collect(chat({ model: MODELS.upstream_cut, stream: true })),
  upstream_cut_stream_with_usage: () =>
    collect(chat({ model: MODELS.upstream_cut, stream: true, stream_options: { include_usage: true } })),
  upstream_error_frame: () => collect(chat({ model: MODELS.upstream_error_frame, stream: true })),
  client_timeout: () => chat({ model: MODELS.stalled }, connect('main', { timeout: 400 })),
};

for (const [name, call] of Object.entries(REFUSALS)) CASES[name] = () => failure(call);

const version = (name) => JSON.parse(readFileSync(join(directory, 'node_modules', name, 'package.json'), 'utf8')).version;
console.log(JSON.stringify({ case: 'versions', seen: { sdk: version(sdk), openai: version('openai'), runtime: process.versions.node } }));
for (const [name, run] of Object.entries(CASES)) {
  if (plan.only.length && !plan.only.includes(name)) continue;
  try {
    console.log(JSON.stringify({ case: name, seen: await run() }));
  } catch (error) {
    console.log(JSON.stringify({ case: name, failed: `${error.constructor.name}: ${error.message}` }));
  }
}
process.exit(0);
