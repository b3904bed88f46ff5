// The verbs of dialects.mjs in the words of `openai`, Chat.
export default function speak(require, url, key, Place) {
  const { OpenAI } = require('openai');
  const { zodResponseFormat } = require('openai/helpers/zod');
  const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });

  const body = ({ model, turns, tools = [], think, cap }) => ({
    model,
    messages: turns,
    ...(tools.length && {
      tools: tools.map(({ name, description, schema }) => ({
        type: 'function',
        function: { name, description, parameters: schema, strict: true },
      })),
    }),
    ...(cap && { max_completion_tokens: cap }),
    ...(think && { reasoning_effort: 'high' }),
  });

  async function helped(wanted, piece) {
    let pieces = 0;
    const events = client.chat.completions.stream({ ...body(wanted), stream_options: { include_usage: true } });
    events.on('content.delta', () => {
      pieces += 1;
      piece();
    });
    const { choices, usage } = await events.finalChatCompletion();
    return { choice: choices[0], usage, pieces };
  }

  async function stream(wanted, piece) {
    if (wanted.helper) return helped(wanted, piece);
    const message = { role: 'assistant', content: '' };
    const choice = { message, finish_reason: null };
    let pieces = 0;
    let usage;
    const { data: chunks, request_id } = await client.chat.completions
      .create({ ...body(wanted), stream: true, stream_options: { include_usage: true } })
      .withResponse();
    for await (const chunk of chunks) {
      usage = chunk.usage ?? usage;
      const [{ delta = {}, finish_reason } = {}] = chunk.choices;
      choice.finish_reason = finish_reason ?? choice.finish_reason;
      if (delta.content) {
        message.content += delta.content;
        pieces += 1;
        piece();
      }
      if (delta.reasoning_content) message.reasoning_content = (message.reasoning_content ?? '') + delta.reasoning_content;
      if (delta.reasoning_details) (message.reasoning_details ??= []).push(...delta.reasoning_details);
      for (const { index, function: called, ...call } of delta.tool_calls ?? []) {
        message.tool_calls ??= [];
        const whole = (message.tool_calls[index] ??= { function: { name: '', arguments: '' } });
        Object.assign(whole, call);
        whole.function.name += called?.name ?? '';
        whole.function.arguments += called?.arguments ?? '';
      }
    }
    return { choice, usage, pieces, request_id };
  }

  async function whole(wanted) {
    const completion = await client.chat.completions.create(body(wanted));
    return { choice: completion.choices[0], usage: completion.usage, pieces: 0, request_id: completion._request_id };
  }

  return {
    package: 'openai',
    user: (text, parts = []) => ({
      role: 'user',
      content: [
        { type: 'text', text },
        ...parts.map(({ mime, data }) =>
          mime.startsWith('image/')
            ? { type: 'image_url', image_url: { url: `data:${mime};base64,${data}` } }
            : { type: 'file', file: { filename: 'paper.pdf', file_data: `data:${mime};base64,${data}` } },
        ),
      ],
    }),
    async ask({ piece = () => {}, ...wanted }) {
      const { choice, usage, pieces, request_id } = wanted.stream ? await stream(wanted, piece) : await whole(wanted);
      const { message } = choice;
      return {
        text: message.content ?? '',
        pieces,
        finish: choice.finish_reason,
        input: usage?.prompt_tokens,
        output: usage?.completion_tokens,
        request_id: request_id ?? null,
        turn: [message],
        calls: (message.tool_calls ?? []).map((call) => ({
          id: call.id,
          name: call.function.name,
          arguments: JSON.parse(call.function.arguments),
        })),
        thoughts: message.reasoning_content ?? '',
      };
    },
    results: (calls, answer) => calls.map((call, index) => ({ role: 'tool', tool_call_id: call.id, content: answer(call, index) })),
    async loop({ model, turns, tools: [tool] }, answer) {
      const runner = client.chat.completions.runTools({
        model,
        messages: turns,
        tools: [
          {
            type: 'function',
            function: { name: tool.name, description: tool.description, parameters: tool.schema, parse: JSON.parse, function: answer },
          },
        ],
      });
      return runner.finalContent();
    },
    models: async () => (await Array.fromAsync(await client.models.list())).map((model) => model.id),
    embed: async ({ model, texts }) => (await client.embeddings.create({ model, input: texts })).data.map(({ embedding }) => embedding),
    structured: async (wanted) =>
      (await client.chat.completions.parse({ ...body(wanted), response_format: zodResponseFormat(Place, 'place') })).choices[0].message
        .parsed,
    failure: (error) => ({ status: error.status ?? null, kind: error.type ?? null, code: error.code ?? null, request_id: error.requestID ?? null }),
  };
}
