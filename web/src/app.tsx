// The chat page.
import { render } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import "./app.css";
import { key } from "./api";
import { t, toggleLanguage } from "./i18n";
import { toHtml } from "./markdown";
import * as store from "./store";

// Enter ends a Hangul syllable first; only the next one may send. Safari reports the former as 229.
function isSendKey(event: KeyboardEvent): boolean {
  return event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229;
}

function TextBox(props: { initial?: string; label: string; onSend: (text: string) => void; children?: preact.ComponentChildren }) {
  const text = useSignal(props.initial ?? "");
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    box.current!.style.height = "auto";
    box.current!.style.height = `${Math.min(240, box.current!.scrollHeight + 2)}px`;
  }, [text.value]);
  const submit = () => {
    const trimmed = text.value.trim();
    if (!trimmed) return;
    text.value = "";
    props.onSend(trimmed);
  };
  return (
    <form class="textbox" onSubmit={(e) => { e.preventDefault(); submit(); }}>
      <textarea ref={box} rows={1} value={text.value} aria-label={props.label} placeholder={props.label}
        onInput={(e) => (text.value = e.currentTarget.value)}
        onKeyDown={(e) => { if (isSendKey(e)) { e.preventDefault(); submit(); } }} />
      {props.children}
    </form>
  );
}

function Sources({ message }: { message: store.Message }) {
  if (message.known === false) return <p class="meta">{t.value.unknown}</p>;
  const cited = message.sources?.filter((s) => message.citations?.includes(s.number)) ?? [];
  if (!cited.length) return null;
  return (
    <ul class="sources" aria-label={t.value.sources}>
      {cited.map((s) => (
        <li key={s.number}>
          <button type="button" onClick={() => (store.shownSource.value = { sources: message.sources!, number: s.number })}>
            [{s.number}] {s.title || s.document}
          </button>
        </li>
      ))}
    </ul>
  );
}

function Meta({ message }: { message: store.Message }) {
  const model = store.models.value.find((m) => m.id === message.model);
  const parts = [message.model];
  if (model?.sllm.adapter) parts.push(`${t.value.adapter} ${model.sllm.adapter}`);
  if (message.timings?.tokens_per_second)
    parts.push(`${message.timings.tokens_per_second.toFixed(1)} ${t.value.speed}`, `${message.timings.seconds_to_first.toFixed(2)} ${t.value.first}`);
  if (message.stopped) parts.push(t.value.stopped);
  return <p class="meta">{parts.filter(Boolean).join(" · ")}</p>;
}

function Answer({ message, last, index }: { message: store.Message; last: boolean; index: number }) {
  const html = useMemo(() => toHtml(message.content), [message.content]);
  const copied = useSignal(false);
  const writing = last && store.writing.value !== null;
  const onClick = (event: MouseEvent) => {
    const link = (event.target as Element).closest("a.cite");
    if (!link) return;
    event.preventDefault();
    const number = Number(link.textContent);
    if (message.sources?.some((s) => s.number === number)) store.shownSource.value = { sources: message.sources, number };
  };
  return (
    <article class="message assistant" aria-busy={writing}>
      <div class="markdown" onClick={onClick} dangerouslySetInnerHTML={{ __html: html }} />
      {writing && !message.content && <span class="dots" aria-label="…" />}
      {message.error && <p class="error" role="alert">{message.error}</p>}
      {!writing && <>
        <Sources message={message} />
        <Meta message={message} />
        <p class="actions">
          <button type="button" onClick={() => store.resend(index - 1)}>{t.value.retry}</button>
          {navigator.clipboard &&  // browsers offer it over HTTPS and on this machine only
            <button type="button" onClick={() => { navigator.clipboard.writeText(message.content); copied.value = true; }}>
              {copied.value ? t.value.copied : t.value.copy}
            </button>}
        </p>
      </>}
    </article>
  );
}

function Question({ message, index }: { message: store.Message; index: number }) {
  const editing = useSignal(false);
  if (editing.value)
    return (
      <article class="message user">
        <TextBox initial={message.content} label={t.value.edit} onSend={(text) => { editing.value = false; store.resend(index, text); }}>
          <button type="submit">{t.value.send}</button>
          <button type="button" onClick={() => (editing.value = false)}>{t.value.cancel}</button>
        </TextBox>
      </article>
    );
  return (
    <article class="message user" aria-label={t.value.you}>
      <div class="plain">{message.content}</div>
      <p class="actions"><button type="button" onClick={() => (editing.value = true)}>{t.value.edit}</button></p>
    </article>
  );
}

function SourcePanel() {
  const shown = store.shownSource.value;
  const source = shown?.sources.find((s) => s.number === shown.number);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => { if (e.key === "Escape") store.shownSource.value = null; };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  if (!source) return null;
  return (
    <aside class="panel" aria-label={t.value.sources}>
      <header>
        <strong>[{source.number}] {source.title || source.document}</strong>
        <button type="button" onClick={() => (store.shownSource.value = null)}>{t.value.close}</button>
      </header>
      <p class="meta">{[source.document, source.heading].filter(Boolean).join(" · ")}</p>
      <div class="plain">{source.text}</div>
    </aside>
  );
}

function KeyPrompt() {
  const value = useSignal("");
  if (!store.keyNeeded.value) return null;
  const submit = (e: Event) => { e.preventDefault(); key.set(value.value.trim()); store.refreshModels(); };
  return (
    <div class="veil" role="dialog" aria-modal="true" aria-label={t.value.keyTitle}>
      <form class="card" onSubmit={submit}>
        <strong>{t.value.keyTitle}</strong>
        <input type="password" autocomplete="off" autofocus aria-label={t.value.keyTitle} value={value.value}
          onInput={(e) => (value.value = e.currentTarget.value)} />
        <p class="meta">{t.value.keyHint}</p>
        <button type="submit" class="primary">{t.value.keySave}</button>
      </form>
    </div>
  );
}

type Theme = "light" | "dark" | "";
function useTheme() {
  const theme = useSignal<Theme>((localStorage.getItem("sllm.theme") ?? "") as Theme);
  useEffect(() => { document.documentElement.dataset.theme = theme.value; }, [theme.value]);
  return () => {
    const dark = theme.value ? theme.value === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    theme.value = dark ? "light" : "dark";
    localStorage.setItem("sllm.theme", theme.value);
  };
}

function Header({ onHistory }: { onHistory: () => void }) {
  const toggleTheme = useTheme();
  return (
    <header class="top">
      <button type="button" onClick={onHistory} aria-label={t.value.history} title={t.value.history}>☰</button>
      <button type="button" onClick={store.newChat} title={t.value.newChat} aria-label={t.value.newChat}>＋</button>
      <select aria-label={t.value.model} value={store.model.value}
        onChange={(e) => { store.model.value = e.currentTarget.value; localStorage.setItem("sllm.model", store.model.value); }}>
        {store.models.value.map((m) => (
          <option key={m.id} value={m.id}>{m.sllm.adapter ? `${m.sllm.base} + ${m.id}` : m.id}</option>
        ))}
      </select>
      <span class="adapter meta">{store.selected.value?.sllm.adapter ?? t.value.base} · {store.selected.value?.sllm.numerics}</span>
      <span class="space" />
      <button type="button" onClick={toggleTheme} aria-label={t.value.theme} title={t.value.theme}>◐</button>
      <button type="button" onClick={toggleLanguage}>{t.value.language}</button>
    </header>
  );
}

function History({ open, onClose }: { open: boolean; onClose: () => void }) {
  if (!open) return null;
  return (
    <nav class="history" aria-label={t.value.history}>
      <header><strong>{t.value.history}</strong><button type="button" onClick={onClose}>{t.value.close}</button></header>
      <ul>
        {store.conversations.value.map((c) => (
          <li key={c.id} aria-current={c.id === store.current.value}>
            <button type="button" class="title" onClick={() => { store.openChat(c.id); onClose(); }}>{c.title || "…"}</button>
            <button type="button" aria-label={`${t.value.remove}: ${c.title}`} onClick={() => store.removeChat(c.id)}>×</button>
          </li>
        ))}
      </ul>
      {store.conversations.value.length > 0 &&
        <button type="button" onClick={() => store.removeChat()}>{t.value.clearAll}</button>}
    </nav>
  );
}

function App() {
  const history = useSignal(false);
  const log = useRef<HTMLElement>(null);
  const follow = useRef(true);
  const list = store.messages.value;
  useEffect(() => { store.refreshModels(); }, []);
  useEffect(() => { if (follow.current) log.current!.scrollTop = log.current!.scrollHeight; }, [list]);
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = log.current!;
    follow.current = scrollHeight - scrollTop - clientHeight < 60;
  };
  return (
    <>
      <Header onHistory={() => (history.value = !history.value)} />
      <History open={history.value} onClose={() => (history.value = false)} />
      <main ref={log} onScroll={onScroll}><div role="log">
        {list.length === 0 && <p class="empty">{t.value.empty}</p>}
        {list.map((m, i) => m.role === "user"
          ? <Question key={`${store.current.value}-${i}`} message={m} index={i} />
          : <Answer key={`${store.current.value}-${i}`} message={m} index={i} last={i === list.length - 1} />)}
      </div></main>
      <footer>
        {store.notice.value && <p class="error" role="status">{store.notice.value}</p>}
        {store.selected.value?.sllm.ground && (
          <label class="meta"><input type="checkbox" checked={store.ground.value}
            onChange={(e) => { store.ground.value = e.currentTarget.checked; localStorage.setItem("sllm.ground", store.ground.value ? "1" : "0"); }} /> {t.value.ground}</label>
        )}
        <TextBox label={t.value.placeholder} onSend={(text) => { follow.current = true; store.send(text); }}>
          {store.writing.value
            ? <button type="button" class="primary" onClick={store.stop}>{t.value.stop}</button>
            : <button type="submit" class="primary">{t.value.send}</button>}
        </TextBox>
      </footer>
      <SourcePanel />
      <KeyPrompt />
    </>
  );
}

render(<App />, document.getElementById("app")!);
