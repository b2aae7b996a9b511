// Conversations, kept in this browser, and the answer being written.
import { computed, signal } from "@preact/signals";
import { ApiError, chat, fetchModels, Model, Source, Timings } from "./api";
import { t } from "./i18n";

export interface Message {
  role: "user" | "assistant";
  content: string;
  sources?: Source[];
  citations?: number[];
  known?: boolean;
  timings?: Timings;
  model?: string;
  stopped?: boolean;
  error?: string;
}
export interface Conversation { id: string; title: string; messages: Message[] }

const kMaxConversations = 50;

function load(): Conversation[] {
  try { return JSON.parse(localStorage.getItem("sllm.chats") ?? "[]"); } catch { return []; }
}

export const conversations = signal<Conversation[]>(load());
export const current = signal<string>(conversations.value[0]?.id ?? "");
export const models = signal<Model[]>([]);
export const model = signal<string>(localStorage.getItem("sllm.model") ?? "");
export const ground = signal<boolean>(localStorage.getItem("sllm.ground") === "1");
export const writing = signal<AbortController | null>(null);
export const keyNeeded = signal(false);
export const notice = signal("");
export const shownSource = signal<{ sources: Source[]; number: number } | null>(null);

export const messages = computed(
  () => conversations.value.find((c) => c.id === current.value)?.messages ?? []);
export const selected = computed(() => models.value.find((m) => m.id === model.value));

function save() {
  try {
    localStorage.setItem("sllm.chats", JSON.stringify(conversations.value.slice(0, kMaxConversations)));
    notice.value = "";
  } catch {
    notice.value = t.value.full;
  }
}

function setMessages(id: string, list: Message[]) {
  const title = list.find((m) => m.role === "user")?.content.slice(0, 60) ?? "";
  const rest = conversations.value.filter((c) => c.id !== id);
  conversations.value = [{ id, title, messages: list }, ...rest];
}

export function newChat() {
  stop();
  current.value = "";
}
export function openChat(id: string) {
  stop();
  current.value = id;
}
export function removeChat(id?: string) {
  stop();
  conversations.value = id ? conversations.value.filter((c) => c.id !== id) : [];
  if (!id || current.value === id) current.value = "";
  save();
}

export function stop() { writing.value?.abort(); }

export async function refreshModels() {
  try {
    models.value = await fetchModels();
    keyNeeded.value = false;
    if (!selected.value) model.value = models.value[0]?.id ?? "";
    notice.value = "";
  } catch (error) {
    report(error);
  }
}

function report(error: unknown): string {
  if (error instanceof ApiError) {
    if (error.status === 401) keyNeeded.value = true;
    notice.value = error.message;
  } else {
    notice.value = t.value.offline;
  }
  return notice.value;
}

export function send(text: string) { answer([...messages.value, { role: "user", content: text }]); }

// Asks again from the user's message at `index`, with other words if given.
export function resend(index: number, text?: string) {
  const list = messages.value.slice(0, index + 1);
  if (text !== undefined) list[index] = { role: "user", content: text };
  answer(list);
}

async function answer(list: Message[]) {
  stop();
  const id = current.value || `${Date.now()}-${Math.random()}`;
  const controller = new AbortController();
  writing.value = controller;
  const reply: Message = { role: "assistant", content: "", model: model.value };
  const show = () => setMessages(id, [...list, { ...reply }]);
  show();
  current.value = id;
  save();
  // The page is redrawn once a frame at most, and seldomer when drawing takes long.
  let frame = 0, pause = 0;
  const draw = () => {
    if (frame) return;
    frame = window.setTimeout(() => requestAnimationFrame(() => {
      const begin = performance.now();
      frame = 0;
      if (writing.value !== controller) return;
      show();
      requestAnimationFrame(() => (pause = Math.min(500, 3 * (performance.now() - begin - 16))));
    }), Math.max(0, pause));
  };
  try {
    const plain = list.filter((m) => m.content).map(({ role, content }) => ({ role, content }));
    const grounded = ground.value && (selected.value?.sllm.ground ?? false);
    for await (const { text, answer: checked, ...extra } of chat(model.value, plain, grounded, controller.signal)) {
      reply.content = checked ?? reply.content + text;
      Object.assign(reply, extra);
      draw();
    }
  } catch (error) {
    if (controller.signal.aborted) reply.stopped = true;
    else reply.error = report(error);
  }
  clearTimeout(frame);
  if (conversations.value.some((c) => c.id === id)) show();
  if (writing.value === controller) writing.value = null;
  save();
}
