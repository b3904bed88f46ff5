// The verbs of dialects.mjs in the words of `@anthropic-ai/sdk`, Messages.
export default function speak(require, url, key, Place) {
  const Anthropic = require('@anthropic-ai/sdk');
  const { zodOutputFormat } = require('@anthropic-ai/sdk/helpers/zod');
  const { betaTool } = require('@anthropic-ai/sdk/helpers/beta/json-schema');
  const client = new Anthropic({ apiKey: key, baseURL: url, maxRetries: 0 });

  const body = ({ model, turns, tools = [], think, cap }) => ({
    model,
    messages: turns,
    max_tokens: cap ?? 4000,
    ...(tools.length && {
      tools: tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema })),
    }),
    ...(think && { thinking: { type: 'enabled', budget_tokens: 2000 } }),
  });

  async function stream(wanted, piece) {
    let pieces = 0;
    if (wanted.helper) {
      const events = client.messages.stream(body(wanted));
      events.on('text', () => {
        pieces += 1;
        piece();
      });
      return { message: await events.finalMessage(), pieces, request_id: events.request_id };
    }
    const message = { content: [], usage: {} };
    let json = '';
    const { data: events, request_id } = await client.messages.create({ ...body(wanted), stream: true }).withResponse();
    for await (const event of events) {
      const block = message.content[event.index];
      if (event.type === 'message_start') Object.assign(message, event.message, { content: [] });
      if (event.type === 'content_block_start') {
        message.content.push({ ...event.content_block });
        json = '';
      }
      if (event.type === 'content_block_delta') {
        const { delta } = event;
        if (delta.type === 'text_delta') {
          block.text += delta.text;
          pieces += 1;
          piece();
        }
        if (delta.type === 'thinking_delta') block.thinking += delta.thinking;
        if (delta.type === 'signature_delta') block.signature = delta.signature;
        if (delta.type === 'input_json_delta') json += delta.partial_json;
      }
      if (event.type === 'content_block_stop' && block.type === 'tool_use') block.input = JSON.parse(json || '{}');
      if (event.type === 'message_delta') {
        message.stop_reason = event.delta.stop_reason;
        Object.assign(message.usage, event.usage);
      }
    }
    return { message, pieces, request_id };
  }

  const texts = (message, type, field) =>
    message.content
      .filter((block) => block.type === type)
      .map((block) => block[field])
      .join('');

  return {
    package: '@anthropic-ai/sdk',
    user: (text, parts = []) => ({
      role: 'user',
      content: [
        { type: 'text', text },
        ...parts.map(({ mime, data }) => ({
          type: mime.startsWith('image/') ? 'image' : 'document',
          source: { type: 'base64', media_type: mime, data },
        })),
      ],
    }),
    async ask({ piece = () => {}, ...wanted }) {
      const { message, pieces, request_id } = wanted.stream
        ? await stream(wanted, piece)
        : { message: await client.messages.create(body(wanted)), pieces: 0 };
      return {
        text: texts(message, 'text', 'text'),
        pieces,
        finish: message.stop_reason,
        input: message.usage.input_tokens,
        output: message.usage.output_tokens,
        request_id: request_id ?? message._request_id ?? null,
        turn: [{ role: 'assistant', content: message.content }],
        calls: message.content
          .filter((block) => block.type === 'tool_use')
          .map((block) => ({ id: block.id, name: block.name, arguments: block.input })),
        thoughts: texts(message, 'thinking', 'thinking'),
      };
    },
    results: (calls, answer) => [
      {
        role: 'user',
        content: calls.map((call, index) => ({ type: 'tool_result', tool_use_id: call.id, content: answer(call, index) })),
      },
    ],
    async loop({ model, turns, tools: [tool] }, run) {
      const { name, description, schema } = tool;
      const final = await client.beta.messages.toolRunner({
        model,
        max_tokens: 4000,
        messages: turns,
        tools: [betaTool({ name, description, inputSchema: schema, run })],
      });
      return texts(final, 'text', 'text');
    },
    models: async () => (await Array.fromAsync(client.models.list())).map((model) => model.id),
    count: async ({ model, turns }) => (await client.messages.countTokens({ model, messages: turns })).input_tokens,
    structured: async (wanted) =>
      (await client.messages.parse({ ...body(wanted), output_config: { format: zodOutputFormat(Place) } })).parsed_output,
    failure: (error) => ({
      status: error.status ?? null,
      kind: error.error?.error?.type ?? null,
      code: null,
      request_id: error.requestID ?? null,
    }),
  };
}
