// The verbs of dialects.mjs in the words of `openai`, Responses.
export default function speak(require, url, key, Place) {
  const { OpenAI } = require('openai');
  const { zodTextFormat } = require('openai/helpers/zod');
  const client = new OpenAI({ apiKey: key, baseURL: `${url}/v1`, maxRetries: 0 });

  const body = ({ model, turns, tools = [], think, cap }) => ({
    model,
    input: turns,
    store: false,
    ...(tools.length && {
      tools: tools.map(({ name, description, schema }) => ({ type: 'function', name, description, parameters: schema, strict: true })),
    }),
    ...(cap && { max_output_tokens: cap }),
    ...(think && { reasoning: { effort: 'high', summary: 'auto' }, include: ['reasoning.encrypted_content'] }),
  });

  async function stream(wanted, piece) {
    let text = '';
    let pieces = 0;
    let last;
    // The helper does not show the request's id.
    const { data: events, request_id } = wanted.helper
      ? { data: client.responses.stream(body(wanted)) }
      : await client.responses.create({ ...body(wanted), stream: true }).withResponse();
    for await (const event of events) {
      if (event.type === 'response.output_text.delta') {
        text += event.delta;
        pieces += 1;
        piece();
      }
      // Which OpenAI itself sends, and 6.x makes no exception of it.
      if (event.type === 'error') return { response: { status: 'error', output: [] }, text, pieces, request_id };
      if (['response.completed', 'response.incomplete', 'response.failed'].includes(event.type)) last = event.response;
    }
    return { response: wanted.helper ? await events.finalResponse() : last, text, pieces, request_id };
  }

  return {
    package: 'openai',
    user: (text, parts = []) => ({
      role: 'user',
      content: [
        { type: 'input_text', text },
        ...parts.map(({ mime, data }) =>
          mime.startsWith('image/')
            ? { type: 'input_image', detail: 'auto', image_url: `data:${mime};base64,${data}` }
            : { type: 'input_file', filename: 'paper.pdf', file_data: `data:${mime};base64,${data}` },
        ),
      ],
    }),
    async ask({ piece = () => {}, ...wanted }) {
      const { response, text, pieces, request_id } = wanted.stream
        ? await stream(wanted, piece)
        : { response: await client.responses.create(body(wanted)), pieces: 0 };
      return {
        text: text ?? response.output_text,
        pieces,
        finish: response.status,
        input: response.usage?.input_tokens,
        output: response.usage?.output_tokens,
        request_id: request_id ?? response._request_id ?? null,
        turn: response.output,
        calls: response.output
          .filter((item) => item.type === 'function_call')
          .map((item) => ({ id: item.call_id, name: item.name, arguments: JSON.parse(item.arguments) })),
        thoughts: response.output
          .filter((item) => item.type === 'reasoning')
          .flatMap((item) => item.summary.map((part) => part.text))
          .join(''),
      };
    },
    results: (calls, answer) =>
      calls.map((call, index) => ({ type: 'function_call_output', call_id: call.id, output: answer(call, index) })),
    models: async () => (await Array.fromAsync(await client.models.list())).map((model) => model.id),
    count: async (wanted) => {
      const { model, input } = body(wanted);
      return (await client.responses.inputTokens.count({ model, input })).input_tokens;
    },
    async stored(model) {
      const first = await client.responses.create({ model, input: 'My name is Ada.' });
      const asked = { model, input: 'What is my name?', previous_response_id: first.id, stream: true };
      let second;
      for await (const event of await client.responses.create(asked)) second = event.response ?? second;
      const shown = await client.responses.retrieve(second.id);
      const listed = await Array.fromAsync(await client.responses.inputItems.list(second.id, { order: 'asc' }));
      await client.responses.delete(second.id);
      const refused = async (wanted) => {
        try {
          await wanted();
        } catch (error) {
          return [error.constructor.name, error.code];
        }
      };
      return {
        grew: second.usage.input_tokens > first.usage.input_tokens,
        inputs: listed.map((item) => item.type),
        same: shown.id === second.id && shown.output[0].content[0].text === second.output[0].content[0].text,
        read: await refused(() => client.responses.retrieve(second.id)),
        gone_on: await refused(() => client.responses.create({ model, input: 'And now?', previous_response_id: second.id })),
      };
    },
    structured: async (wanted) =>
      (await client.responses.parse({ ...body(wanted), text: { format: zodTextFormat(Place, 'place') } })).output_parsed,
    failure: (error) => ({ status: error.status ?? null, kind: error.type ?? null, code: error.code ?? null, request_id: error.requestID ?? null }),
  };
}
