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
    const events = wanted.helper
      ? client.responses.stream(body(wanted))
      : await client.responses.create({ ...body(wanted), stream: true });
    for await (const event of events) {
      if (event.type === 'response.output_text.delta') {
        text += event.delta;
        pieces += 1;
        piece();
      }
      if (['response.completed', 'response.incomplete', 'response.failed'].includes(event.type)) last = event.response;
    }
    return { response: wanted.helper ? await events.finalResponse() : last, text, pieces };
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
      const { response, text, pieces } = wanted.stream
        ? await stream(wanted, piece)
        : { response: await client.responses.create(body(wanted)), pieces: 0 };
      return {
        text: text ?? response.output_text,
        pieces,
        finish: response.status,
        input: response.usage?.input_tokens,
        output: response.usage?.output_tokens,
        request_id: response._request_id ?? null,
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
    structured: async (wanted) =>
      (await client.responses.parse({ ...body(wanted), text: { format: zodTextFormat(Place, 'place') } })).output_parsed,
    failure: (error) => ({ status: error.status ?? null, kind: error.type ?? null, code: error.code ?? null, request_id: error.requestID ?? null }),
  };
}
