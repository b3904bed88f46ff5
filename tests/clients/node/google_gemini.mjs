// The verbs of dialects.mjs in the words of `@google/genai`, generateContent.
export default function speak(require, url, key, Place) {
  const { GoogleGenAI } = require('@google/genai');
  const { z } = require('zod');
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });

  const body = ({ model, turns, tools = [], think, cap, format }) => ({
    model,
    contents: turns,
    config: {
      ...(tools.length && {
        tools: [
          {
            functionDeclarations: tools.map(({ name, description, schema }) => ({ name, description, parametersJsonSchema: schema })),
          },
        ],
      }),
      ...(cap && { maxOutputTokens: cap }),
      ...(think && { thinkingConfig: { includeThoughts: true, thinkingBudget: 2000 } }),
      ...(format && { responseMimeType: 'application/json', responseJsonSchema: format }),
    },
  });

  // A chat is this SDK's helper: it keeps the turns itself.
  const begin = (wanted) => {
    if (!wanted.helper) return client.models.generateContentStream(body(wanted));
    const { model, contents, config } = body(wanted);
    const chat = client.chats.create({ model, config, history: contents.slice(0, -1) });
    return chat.sendMessageStream({ message: contents.at(-1).parts });
  };

  async function stream(wanted, piece) {
    const parts = [];
    let pieces = 0;
    let last = {};
    for await (const chunk of await begin(wanted)) {
      const [candidate] = chunk.candidates ?? [];
      for (const part of candidate?.content?.parts ?? []) {
        parts.push(part);
        if (part.text && !part.thought) {
          pieces += 1;
          piece();
        }
      }
      last = {
        finish: candidate?.finishReason ?? last.finish,
        usage: chunk.usageMetadata ?? last.usage,
        headers: chunk.sdkHttpResponse?.headers ?? last.headers,
      };
    }
    return { parts, pieces, ...last };
  }

  async function whole(wanted) {
    const answer = await client.models.generateContent(body(wanted));
    const [candidate] = answer.candidates;
    return {
      parts: candidate.content?.parts ?? [],
      pieces: 0,
      finish: candidate.finishReason,
      usage: answer.usageMetadata,
      headers: answer.sdkHttpResponse?.headers,
    };
  }

  const said = (parts, thought) =>
    parts
      .filter((part) => part.text && Boolean(part.thought) === thought)
      .map((part) => part.text)
      .join('');

  const ask = async ({ piece = () => {}, ...wanted }) => {
    const { parts, pieces, finish, usage, headers } = wanted.stream ? await stream(wanted, piece) : await whole(wanted);
    return {
      text: said(parts, false),
      pieces,
      finish,
      input: usage?.promptTokenCount,
      output: (usage?.candidatesTokenCount ?? 0) + (usage?.thoughtsTokenCount ?? 0),
      request_id: headers?.['x-request-id'] ?? null,
      turn: [{ role: 'model', parts }],
      calls: parts
        .filter((part) => part.functionCall)
        .map(({ functionCall }) => ({ id: functionCall.id, name: functionCall.name, arguments: functionCall.args })),
      thoughts: said(parts, true),
    };
  };

  return {
    package: '@google/genai',
    user: (text, parts = []) => ({
      role: 'user',
      parts: [{ text }, ...parts.map(({ mime, data }) => ({ inlineData: { mimeType: mime, data } }))],
    }),
    ask,
    results: (calls, answer) => [
      {
        role: 'user',
        parts: calls.map((call, index) => ({
          functionResponse: { id: call.id, name: call.name, response: { output: answer(call, index) } },
        })),
      },
    ],
    async loop({ model, turns, tools: [{ name, description, schema }] }, run) {
      const callable = {
        tool: async () => ({ functionDeclarations: [{ name, description, parametersJsonSchema: schema }] }),
        callTool: async (calls) =>
          calls.map((call) => ({ functionResponse: { id: call.id, name: call.name, response: { output: run(call.args) } } })),
      };
      return (await client.models.generateContent({ model, contents: turns, config: { tools: [callable] } })).text;
    },
    models: async () => (await Array.fromAsync(await client.models.list())).map((model) => model.name.replace(/^models\//, '')),
    count: async ({ model, turns }) => (await client.models.countTokens({ model, contents: turns })).totalTokens,
    embed: async ({ model, texts }) => (await client.models.embedContent({ model, contents: texts })).embeddings.map(({ values }) => values),
    async structured(wanted) {
      const { $schema: _, ...format } = z.toJSONSchema(Place);
      return JSON.parse((await ask({ ...wanted, format })).text);
    },
    failure: (error) => {
      let status = null;
      try {
        status = JSON.parse(error.message.slice(error.message.indexOf('{'))).error?.status;
      } catch {
        // Not every error of this SDK has the body in its message.
      }
      return { status: error.status ?? null, kind: status, code: null, request_id: null };
    },
  };
}
