// Talking to the server that served this page: models, and chat as a stream of events.
export interface Source { number: number; document: string; title: string; heading: string; text: string }
export interface Timings { seconds_to_first: number; seconds: number; tokens: number; tokens_per_second: number }
export interface Model {
  id: string; context_length: number;
  sllm: { base: string; adapter: string | null; numerics: string; ground: boolean };
}
export interface Delta {
  text: string; sources?: Source[]; citations?: number[]; answer?: string; known?: boolean; timings?: Timings;
}

export class ApiError extends Error {
  constructor(public status: number, message: string) { super(message); }
}

export const key = {
  get: () => sessionStorage.getItem("sllm.key") ?? "",
  set: (value: string) => sessionStorage.setItem("sllm.key", value),
};

function headers(): Record<string, string> {
  const secret = key.get();
  return { "Content-Type": "application/json", ...(secret && { Authorization: `Bearer ${secret}` }) };
}

async function check(response: Response): Promise<Response> {
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new ApiError(response.status, body?.error?.message ?? `HTTP ${response.status}`);
}

export async function fetchModels(): Promise<Model[]> {
  const response = await check(await fetch("/v1/models", { headers: headers() }));
  return (await response.json()).data;
}

// Small models wander when sampled freely; this much chance still lets "retry" find other words.
const sampling = { temperature: 0.3, top_p: 0.95, max_tokens: 1024 };

// Yields deltas until the answer ends. Aborting `signal` closes the connection, which frees the
// server's slot.
export async function* chat(
  model: string, messages: { role: string; content: string }[], ground: boolean, signal: AbortSignal,
): AsyncGenerator<Delta> {
  const body = JSON.stringify({
    model, messages, stream: true, ...(ground ? { sllm: { ground: true } } : sampling),
  });
  const response = await check(
    await fetch("/v1/chat/completions", { method: "POST", headers: headers(), body, signal }));
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new ApiError(500, event.error.message);
      yield { text: event.choices[0]?.delta?.content ?? "", ...event.sllm };
    }
  }
}
